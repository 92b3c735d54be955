import importlib.util
import tomllib
from pathlib import Path

import pytest

from rainclear.errors import ConfigError, ModelError
from rainclear.export import quantise
from rainclear.runtime.backends.base import EXTRAS


def needs(*packages):
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


onnx = pytest.param("onnx", marks=needs("onnx", "onnxruntime"))
openvino = pytest.param("openvino", marks=needs("onnx", "openvino"))


@pytest.fixture
def clip(make_video):
    return make_video(pts=range(8))


def openvino_model(path):
    from rainclear.runtime.backends.quiet import import_quietly

    return import_quietly("openvino").Core().read_model(str(path))


@pytest.mark.parametrize("kind", [onnx, openvino])
def test_int8_is_judged_on_a_clip_and_checked_as_written(export, clip, kind, monkeypatch):
    monkeypatch.setattr(quantise, "MAX_LOSS_DB", 1.0)  # random weights
    _, record = export(kind, int8=True, dynamic=True, calibrate=clip)
    figures = record["int8"]
    assert record["precision"] == "int8" and figures["frames"] == 4
    assert figures["psnr_fp32_db"] - figures["psnr_int8_db"] <= 1.0
    assert record["check"].keys() == {"random", "real", "other size"}
    for found in record["check"].values():
        assert found["max_difference_levels"] > 0.1  # of the file in int8, not of one in float


@pytest.mark.parametrize("kind", [onnx, openvino])
def test_int8_that_costs_too_much_is_not_written(
    export, clip, kind, monkeypatch, files_in, tmp_path
):
    monkeypatch.setattr(quantise, "MAX_LOSS_DB", -100.0)
    with pytest.raises(ModelError, match=r"int8 costs .* dB.*nothing was written"):
        export(kind, int8=True, calibrate=clip)
    assert files_in(tmp_path) == {"in.mp4"}


@needs("onnx", "openvino")
def test_convolutions_of_pictures_and_of_the_veil_stay_in_float(export, clip, monkeypatch):
    monkeypatch.setattr(quantise, "MAX_LOSS_DB", 1.0)
    path, _ = export("openvino", int8=True, calibrate=clip)
    quantised = {}
    for node in openvino_model(path).get_ordered_ops():
        if node.get_type_name() == "Convolution":
            above = node.input_value(0).get_node()
            while above.get_type_name() == "Transpose":
                above = above.input_value(0).get_node()
            quantised[node.get_friendly_name()] = above.get_type_name() == "FakeQuantize"
    floats = ("stem", "stem_change", "shallow", "refine_image")
    for name, is_int8 in quantised.items():
        assert is_int8 != any(f"/{part}/" in name for part in floats), name
    assert sum(quantised.values()) > 20


@needs("onnx", "openvino")
def test_int8_files_hold_their_weights_in_8_bits(export, clip, monkeypatch):
    monkeypatch.setattr(quantise, "MAX_LOSS_DB", 1.0)
    export("openvino", "float.xml")
    path, _ = export("openvino", int8=True, calibrate=clip)
    size, before = (p.with_suffix(".bin").stat().st_size for p in (path, path.parent / "float.xml"))
    assert size < 0.5 * before


@needs("onnx", "onnxruntime")
def test_a_short_clip_cannot_calibrate(export, make_video):
    with pytest.raises(ConfigError, match="has 3 frames; at least 8"):
        export("onnx", int8=True, calibrate=make_video(pts=range(3)))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("onnx", "onnx"), ("onnx", "onnxruntime"), ("openvino", "onnx"), ("openvino", "openvino")],
)
def test_a_missing_package_names_its_extra(export, monkeypatch, kind, missing):
    from rainclear.export import artefact

    found = importlib.util.find_spec

    def hide(name, *rest):
        return None if name == missing else found(name, *rest)

    monkeypatch.setattr(artefact.importlib.util, "find_spec", hide)
    extra = rf"rainclear\[{kind}\]"
    if found("openvino") is None and kind == "openvino":
        missing = "openvino"
    with pytest.raises(ModelError, match=f"format {kind} needs the package {missing},.*{extra}"):
        export(kind)


def test_what_writes_onnx_is_in_every_extra_that_traces():
    project = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    wanted = {requirement for requirement in extras["dev"] if requirement.startswith("onnx>")}
    for extra in set(EXTRAS.values()):
        assert wanted <= set(extras[extra]), extra
