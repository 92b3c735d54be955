import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.export import check
from rainclear.export.artefact import SUFFIXES
from rainclear.export.export import ExportOptions, export_model, format_of
from rainclear.export.frames import generated_frames

SMALL = ExportOptions(size=(48, 64))


def needs(*packages):
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


onnx = pytest.param("onnx", marks=needs("onnx", "onnxruntime"))
openvino = pytest.param("openvino", marks=needs("onnx", "openvino"))
exported = pytest.param("exported", marks=pytest.mark.slow)


def record_in(path: Path) -> dict:
    """The record as a user reads it, with the runtimes' own functions."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return json.loads(session.get_modelmeta().custom_metadata_map["rainclear"])
    if path.suffix == ".xml":
        from rainclear.runtime.backends.quiet import import_quietly

        model = import_quietly("openvino").Core().read_model(str(path))
        return json.loads(model.get_rt_info(["rainclear"]).astype(str))
    extra = {"rainclear.json": ""}
    if path.suffix == ".ts":
        torch.jit.load(str(path), _extra_files=extra)
    else:
        torch.export.load(str(path), extra_files=extra)
    return json.loads(extra["rainclear.json"])


@pytest.mark.parametrize("kind", [onnx, openvino, "torchscript", exported])
def test_every_format_is_checked_and_says_what_it_is(export, kind, files_in, tmp_path):
    path, record = export(kind)
    assert record_in(path) == record
    assert (record["format"], record["precision"], record["model"]) == (kind, "fp32", "tiny")
    assert record["inputs"] == ["frame", "state_0", "state_1"]
    assert record["feedback"] == {"state_0": "image", "state_1": "next_state_1"}
    assert record["initial_state"] == {"state_0": "frame", "state_1": "zeros"}
    assert record["size"] == [48, 64] and record["size_multiple"] == 8
    assert record["check"].keys() == {"random", "generated"}
    assert all(found["max_difference_levels"] < 0.5 for found in record["check"].values())
    wanted = {path.name} | ({"net.bin"} if kind == "openvino" else set())
    assert files_in(tmp_path) == wanted


@needs("onnx", "onnxruntime")
def test_the_file_runs_a_clip_by_what_its_record_says(export, derainer, picture):
    import onnxruntime

    path, record = export("onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = None
    for i in range(3):
        frame = np.float32(picture(i).transpose(2, 0, 1)[None] / 255)
        if state is None:
            shapes = {x.name: x.shape for x in session.get_inputs()}
            zero = {n: np.zeros(shapes[n], np.float32) for n in record["feedback"]}
            first = record["initial_state"]
            state = {n: frame if first[n] == "frame" else zero[n] for n in zero}
        values = session.run(record["outputs"], {"frame": frame, **state})
        named = dict(zip(record["outputs"], values, strict=True))
        state = {name: named[output] for name, output in record["feedback"].items()}
        shown = np.rint(named["image"][0].clip(0, 1) * 255).transpose(1, 2, 0)
        assert np.abs(shown - derainer.process(picture(i))).max() <= 1


@pytest.mark.parametrize("kind", [onnx, openvino, exported])
def test_dynamic_files_take_another_size(export, kind):
    _, record = export(kind, dynamic=True)
    assert record["dynamic"] and record["check"]["other size"]["max_difference_levels"] < 0.5


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        pytest.param("onnx", "d-daiam-rt", marks=needs("onnx", "onnxruntime")),
        pytest.param("onnx", "d-daiam-s", marks=needs("onnx", "onnxruntime")),
        ("torchscript", "d-daiam-s"),
        pytest.param("exported", "d-daiam-rt", marks=pytest.mark.slow),
    ],
)
def test_dynamic_files_keep_the_cells_they_were_traced_with(kind, model, tmp_path):
    path = tmp_path / f"net{SUFFIXES[kind]}"
    options = ExportOptions(size=(480, 64), dynamic=True)  # and checked at 240×72
    record = export_model(model, path, format=kind, options=options)
    assert record["check"]["other size"]["max_difference_levels"] < 0.5


@pytest.mark.parametrize("kind", [onnx, openvino, "torchscript", exported])
def test_half(export, kind):
    path, record = export(kind, half=True)
    assert record["precision"] == "fp16"
    assert 0 < record["check"]["random"]["max_difference_levels"] < 10
    assert record_in(path) == record


def test_frames_of_a_clip_are_checked_too(export, make_video):
    _, record = export("torchscript", check=make_video(pts=range(6)))
    assert record["check"]["real"]["frames"] == 4
    assert record["check"]["real"]["clip"] == "in.mp4"
    assert "generated" not in record["check"]


def test_generated_frames_are_a_rainy_clip():
    clip = generated_frames((96, 128), 3)
    assert [frame.shape for frame in clip] == [(1, 3, 96, 128)] * 3
    assert all(frame.min() >= 0 and frame.max() <= 1 and frame.std() > 0.02 for frame in clip)
    across = (clip[0][..., 1:] - clip[0][..., :-1]).abs().mean()
    assert across < 0.1  # noise would have a third
    assert not torch.equal(clip[0], clip[1])
    assert torch.equal(clip[2], generated_frames((96, 128), 3)[2])  # the same each time


def test_wrong_pictures_are_not_written(export, monkeypatch, files_in, tmp_path):
    from rainclear.export.torch_file import ScriptFile

    right = ScriptFile.run

    def wrong(self, inputs):
        image, *others = right(self, inputs)
        return [image + 0.05, *others]

    monkeypatch.setattr(ScriptFile, "run", wrong)
    with pytest.raises(ModelError, match=r"differs from PyTorch by up to \d\d"):
        export("torchscript")
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("values", [(0.5, 0.51), (0.5, float("nan"))])
def test_compare_refuses(values):
    got, want = torch.full((1, 3, 4, 4), values[1]), torch.full((1, 3, 4, 4), values[0])
    for precision in ("fp32", "fp16"):
        with pytest.raises(ModelError):
            check.compare("random", [got], [want], precision=precision)


def test_int8_may_differ_but_has_to_be_numbers():
    want = torch.full((1, 3, 4, 4), 0.5)
    found = check.compare("random", [want + 0.1], [want], precision="int8")
    assert found["max_difference_levels"] == pytest.approx(25.5, abs=0.01)
    with pytest.raises(ModelError):
        check.compare("random", [want * float("nan")], [want], precision="int8")


def test_existing_files_are_kept(export, tiny_model, tmp_path):
    path, _ = export("torchscript")
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        export("torchscript")
    assert path.read_bytes() == before
    (tmp_path / "other.bin").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"other\.bin: exists already"):
        export("openvino", "other.xml")
    assert (tmp_path / "other.bin").read_bytes() == b"mine"
    export_model(str(tiny_model), path, options=SMALL, overwrite=True)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("onnx", {"size": (50, 64)}, "50x64: network 'd-daiam-rt' takes multiples of 8"),
        ("onnx", {"size": (0, 64)}, "multiples of 8"),
        ("onnx", {"size": (32, 64), "dynamic": True}, "32x64 is too small for.*40x40 or more"),
        ("torchscript", {"int8": True, "calibrate": Path("a.mp4")}, "onnx or openvino"),
        ("onnx", {"int8": True}, "go together"),
        ("onnx", {"calibrate": Path("a.mp4")}, "go together"),
        ("onnx", {"int8": True, "half": True, "calibrate": Path("a")}, "exclude each other"),
    ],
)
def test_contradictions(export, files_in, tmp_path, kind, options, message):
    with pytest.raises(ConfigError, match=message):
        export(kind, **options)
    assert files_in(tmp_path) == set()


def test_formats_by_name_and_suffix(tmp_path):
    assert format_of(Path("a.onnx"), None) == "onnx"
    assert format_of(Path("a.bin"), "exported") == "exported"
    with pytest.raises(ConfigError, match="unknown; use one of: onnx"):
        format_of(Path("a.onnx"), "tflite")
    with pytest.raises(ConfigError, match=r"a\.bin: its name tells no format"):
        format_of(Path("a.bin"), None)
    with pytest.raises(ConfigError, match=r"c\.xml: \.xml is what openvino files.*in \.onnx"):
        format_of(Path("c.xml"), "onnx")
    with pytest.raises(ConfigError, match=r"record of a tensorrt file.*end the name in \.engine"):
        format_of(Path("x.json"), "tensorrt")
    with pytest.raises(ConfigError, match=r"end the name in \.xml"):
        export_model("d-daiam-rt", tmp_path / "a.ov", format="openvino")


def test_a_program_for_fewer_sizes_than_asked_for():
    from rainclear.export.torch_file import ExportedFile

    def guard(*_):
        raise AssertionError("Guard failed: frame.size()[2] >= 12")

    program = object.__new__(ExportedFile)
    program._module = guard
    with pytest.raises(ModelError, match=r"does not run at 8x16 .*Guard failed.*--dynamic"):
        program.run([torch.zeros(1, 3, 8, 16)])
