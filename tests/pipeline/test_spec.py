import pytest

from rainclear.errors import ConfigError
from rainclear.pipeline import find_pipeline, list_pipelines


@pytest.mark.parametrize("name", list_pipelines())
def test_every_shipped_pipeline_is_valid(name):
    spec = find_pipeline(name)
    assert spec.summary and spec.derain is not None
    assert any(spec.sinks.model_dump().values())


def test_settings_by_dotted_name():
    spec = find_pipeline("derain-detect", ["detect.weights=other.onnx", "detect.classes=[car]"])
    assert spec.detect.weights == "other.onnx" and spec.detect.classes == ("car",)
    assert find_pipeline("derain-detect", ["sinks.video=null"]).sinks.video is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("detect.wieghts=x", "did you mean 'weights'"),
        ("sinks.vidoe.path=x", "did you mean 'video'"),
        ("trakc.activation=1", "did you mean 'track'"),
        ("detect.confidence=2", "less than or equal to 1"),
        ("detect.classes=[unicorn]", "COCO has no class 'unicorn'"),
    ],
)
def test_wrong_settings_are_refused_by_name(assignment, message):
    with pytest.raises(ConfigError, match=message):
        find_pipeline("derain-detect", [assignment])


def test_tracking_needs_a_detector():
    with pytest.raises(ConfigError, match="'track' needs 'detect'"):
        find_pipeline("derain-track", ["detect=null"])


@pytest.mark.parametrize(
    ("stage", "remedy"),
    [("derain", "add 'derain: {}'"), ("detect", "sinks.video.boxes=false")],
)
def test_a_comparison_needs_both_sides(stage, remedy):
    with pytest.raises(ConfigError, match=rf"side_by_side' needs '{stage}': .*{remedy}"):
        find_pipeline("compare-detect", [f"{stage}=null"])


def test_the_pictures_alone_are_compared_without_a_detector():
    spec = find_pipeline("compare-detect", ["detect=null", "sinks.video.boxes=false"])
    assert spec.sinks.video.side_by_side and spec.detect is None


def test_unknown_pipelines_are_refused_with_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"no pipeline named 'rain'; there are: .*derain-detect"):
        find_pipeline("rain")
    with pytest.raises(ConfigError, match="cannot read"):
        find_pipeline(tmp_path / "none.yaml")
