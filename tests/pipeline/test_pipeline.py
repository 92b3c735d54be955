import json

import cv2
import numpy as np
import pytest

import rainclear
from rainclear.errors import ConfigError, InputError, ModelError, OutputError
from rainclear.pipeline import Pipeline, PipelineSpec, TrackedDetections
from rainclear.video import VideoReader, probe


def spec(**sections) -> PipelineSpec:
    return PipelineSpec.model_validate({"derain": {}, "detect": {}, **sections})


@pytest.fixture
def pipeline(squares, derainer, detector):
    def make(source=squares, **sections) -> Pipeline:
        return Pipeline(spec(**sections), source=source, derainer=derainer, detector=detector)

    return make


def test_it_is_a_generator_of_frames_and_detections(squares, derainer, detector):
    with VideoReader(squares) as reader:
        want = [derainer.process(frame.pixels) for frame in reader]
    pipeline = rainclear.Pipeline(
        "derain-detect", source=str(squares), derainer=derainer, detector=detector
    )
    for _ in range(2):  # each iteration begins anew
        count = 0
        for (frame, found), pixels in zip(pipeline, want, strict=True):
            assert np.array_equal(frame.pixels, pixels)
            assert "rain_score" in frame.metadata
            (expected,) = detector([pixels])
            assert np.array_equal(found.xyxy, expected.xyxy)
            count += 1
        assert count == 6


def test_leaving_the_loop_early_ends_all_threads(pipeline):
    for frame, _ in pipeline():  # the fixture of all tests counts threads
        assert frame.index == 0
        break


def test_without_stages_frames_pass_as_they_came(squares):
    frames = [frame for frame, found in Pipeline(PipelineSpec(), source=squares) if not len(found)]
    with VideoReader(squares) as reader:
        for got, want in zip(frames, reader, strict=True):
            assert np.array_equal(got.pixels, want.pixels) and got.pts == want.pts


def test_detection_without_deraining_finds_the_square(pipeline, squares, detector):
    plain = Pipeline(PipelineSpec(detect={}), source=squares, detector=detector)
    for i, (_, found) in enumerate(plain):
        assert np.abs(found.xyxy[0] - [10 + 2 * i, 20, 34 + 2 * i, 44]).max() <= 2


def test_all_sinks(squares, detector, tmp_path):
    sinks = {kind: {"path": f"{{name}}.{kind}"} for kind in ("jsonl", "coco", "mot")}
    plain = Pipeline(
        PipelineSpec.model_validate(
            {"detect": {}, "sinks": {"video": {"path": "{name}.out.mp4"}, **sinks}}
        ),
        source=squares,
        detector=detector,
    )
    seen = []
    report = plain.run(tmp_path, on_frame=lambda *numbers: seen.append(numbers))
    assert (report.frames, report.objects, seen[-1]) == (6, 6, (6, 6, 0.0))
    assert [path.name for path in report.outputs] == [
        f"squares.{end}" for end in ("out.mp4", "jsonl", "coco", "mot")
    ]
    assert (probe(tmp_path / "squares.out.mp4").width, report.notes) == (96, [])
    lines = [json.loads(x) for x in (tmp_path / "squares.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert lines[1]["time"] == pytest.approx(0.04)
    assert lines[1]["objects"][0]["name"] == "car"
    coco = json.loads((tmp_path / "squares.coco").read_text())
    assert len(coco["images"]) == len(coco["annotations"]) == 6
    names = [image["file_name"] for image in coco["images"]]
    assert names == [f"squares/{number:06d}.jpg" for number in range(1, 7)]
    left, top, right, bottom = lines[3]["objects"][0]["xyxy"]
    assert coco["annotations"][3]["bbox"] == [left, top, right - left, bottom - top]
    names = {c["id"]: c["name"] for c in coco["categories"]}
    assert names[coco["annotations"][3]["category_id"]] == "car" and names[90] == "toothbrush"
    first = (tmp_path / "squares.mot").read_text().splitlines()[0].split(",")
    assert first[:2] == ["1", "-1"] and len(first) == 10


def test_side_by_side_counts_what_was_won_and_lost(pipeline, tmp_path):
    sinks = {
        "video": {"path": "both.mp4", "side_by_side": True},
        "jsonl": {"path": "both.jsonl"},
    }
    report = pipeline(sinks=sinks).run(tmp_path)
    assert probe(tmp_path / "both.mp4").width == 192
    lines = [json.loads(x) for x in (tmp_path / "both.jsonl").read_text().splitlines()]
    assert sum(line["won"] for line in lines) == report.won
    assert sum(line["lost"] for line in lines) == report.lost
    # The source shows one car a frame; a random network changes the picture.
    assert 6 - report.lost + report.won == report.objects


def test_tracks_keep_their_numbers(squares, detector, tmp_path):
    pytest.importorskip("trackers")
    plain = Pipeline(
        PipelineSpec(detect={}, track={}, sinks={"mot": {"path": "x.txt"}}),
        source=squares,
        detector=detector,
    )
    ids = []
    for _, found in plain:
        assert isinstance(found, TrackedDetections)
        ids += found.ids.tolist()
    assert len(ids) == 6 and ids[-4:] == [1] * 4
    plain.run(tmp_path)
    last = (tmp_path / "x.txt").read_text().splitlines()[-1]
    assert last.startswith("6,1,")


def test_a_picture_in_a_picture_out(make_picture, derainer, detector, tmp_path):
    sinks = {"video": {"path": "{name}.out.png"}}
    report = Pipeline(
        spec(sinks=sinks), source=make_picture("one.png"), derainer=derainer, detector=detector
    ).run(tmp_path)
    assert report.frames == 1
    assert cv2.imread(str(tmp_path / "one.out.png")).shape == (48, 64, 3)


def test_turned_videos_are_searched_upright(make_video, derainer, detector, tmp_path):
    source = make_video(rotation=90, pts=range(2))
    sinks = {"video": {"path": "up.mp4"}}
    Pipeline(spec(sinks=sinks), source=source, derainer=derainer, detector=detector).run(tmp_path)
    assert detector.shapes[0] == (64, 48, 3)
    info = probe(tmp_path / "up.mp4")
    assert (info.width, info.height, info.rotation) == (48, 64, 0)


def test_frames_and_classes_are_limited(squares, detector):
    sections = {"source": {"path": str(squares), "frames": 2}, "detect": {"classes": ["person"]}}
    plain = Pipeline(PipelineSpec.model_validate(sections), detector=detector)
    assert [len(found) for _, found in plain] == [0, 0]


def test_nothing_is_left_behind_when_it_fails(pipeline, squares, tmp_path, files_in, detector):
    def broken(frames):
        raise ModelError("broken on purpose")

    folder = tmp_path / "out"
    folder.mkdir()
    sinks = {"video": {"path": "a.mp4"}, "jsonl": {"path": "a.jsonl"}, "coco": {"path": "a.json"}}
    with pytest.raises(ModelError, match="broken on purpose"):
        Pipeline(PipelineSpec(detect={}, sinks=sinks), source=squares, detector=broken).run(folder)
    assert files_in(folder) == set()


def test_what_exists_is_not_overwritten(pipeline, tmp_path):
    (tmp_path / "a.jsonl").write_text("mine")
    run = pipeline(sinks={"jsonl": {"path": "a.jsonl"}})
    with pytest.raises(OutputError, match="exists already"):
        run.run(tmp_path)
    assert (tmp_path / "a.jsonl").read_text() == "mine"
    run.run(tmp_path, overwrite=True)
    assert (tmp_path / "a.jsonl").read_text().count("\n") == 6


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sinks": {}}, "has no sink"),
        ({"sinks": {"mot": {"path": "a"}, "coco": {"path": "a"}}}, "two sinks would write"),
        ({"sinks": {"video": {"path": "a.png"}}}, "the source is a video"),
    ],
)
def test_sinks_that_cannot_be(pipeline, tmp_path, sections, message, files_in):
    with pytest.raises(OutputError, match=message):
        pipeline(**sections).run(tmp_path)


def test_sources_that_cannot_be(derainer, detector):
    for source, message in ((None, "has no source"), ("none.mp4", "no such file")):
        with pytest.raises(InputError, match=message):
            list(Pipeline(spec(), source=source, derainer=derainer, detector=detector))


def test_a_missing_detector_is_named():
    with pytest.raises(ModelError, match=r"none\.pt not found: rainclear downloads nothing"):
        Pipeline("derain-detect", source=0, settings={"derain": None, "detect.weights": "none.pt"})


def test_settings_belong_to_named_pipelines():
    with pytest.raises(ConfigError, match="not both"):
        Pipeline(PipelineSpec(), settings={"detect.size": 64})


SIDE_BY_SIDE = {"video": {"path": "a.mp4", "side_by_side": True}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"detect": {}, "sinks": SIDE_BY_SIDE}, "side_by_side' needs 'derain'"),
        ({"derain": {}, "sinks": SIDE_BY_SIDE}, "side_by_side' needs 'detect'"),
        ({"track": {}}, "'track' needs 'detect'"),
    ],
)
def test_settings_by_hand_are_held_to_the_rules_of_files(sections, message):
    with pytest.raises(ConfigError, match=f"^PipelineSpec: .*{message}"):
        Pipeline(PipelineSpec.model_validate(sections))


def test_a_stage_that_is_given_need_not_be_described(squares, derainer, detector, tmp_path):
    sections = {"track": {}, "sinks": SIDE_BY_SIDE}
    Pipeline(PipelineSpec.model_validate(sections), derainer=derainer, detector=detector)
    both = PipelineSpec.model_validate({"sinks": SIDE_BY_SIDE})
    Pipeline(both, source=squares, derainer=derainer, detector=detector).run(tmp_path)
    assert probe(tmp_path / "a.mp4").width == 192
