"""Every example runs as it stands, on a small clip."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rainclear import Derainer
from rainclear.detection import COCO_NAMES, Detections
from rainclear.frame import Frame
from rainclear.video import VideoInfo, VideoReader, VideoWriter, probe, write_image

EXAMPLES = Path(__file__).parent.parent / "examples"
FRAMES = 3


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    info = VideoInfo(path=Path(), width=64, height=48, time_base=Fraction(1, 25))
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    with VideoWriter(path, template=info, keep_streams=False) as writer:
        for i in range(FRAMES):
            writer.write(Frame(pixels=pixels, pts=i, time_base=Fraction(1, 25), index=i))
    return path


def test_every_example_has_a_test_and_is_listed():
    source = Path(__file__).read_text(encoding="utf-8")
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".mjs"):
            assert f'load("{path.stem}")' in source or f'"{path.name}"' in source, path
            assert f"examples/{path.name}" in page, path


def test_opencv_loop(clip: Path, capsys: pytest.CaptureFixture[str]):
    assert load("opencv_loop").main(str(clip)) == FRAMES
    assert "rain score" in capsys.readouterr().out


def test_video_capture(clip: Path, capsys: pytest.CaptureFixture[str]):
    assert load("video_capture").main(str(clip)) == FRAMES
    assert "64 pixels wide" in capsys.readouterr().out


def test_stream_frames(clip: Path, capsys: pytest.CaptureFixture[str]):
    assert load("stream_frames").main(str(clip)) == FRAMES
    assert "0.080 s" in capsys.readouterr().out


def test_add_rain(clip: Path, tmp_path: Path):
    out = tmp_path / "rainy.mp4"
    assert load("add_rain").main(str(clip), str(out), "heavy") == FRAMES
    assert (probe(out).width, probe(out).height, probe(out).frames) == (64, 48, FRAMES)


@pytest.fixture
def yolo() -> str:
    path = Path(__file__).parents[2] / "shared" / "detectors" / "yolo11n.pt"
    if not path.is_file():
        pytest.skip("needs yolo11n.pt in the shared folder")
    pytest.importorskip("ultralytics")
    return str(path)


def test_detect_stream(clip: Path, yolo: str, capsys: pytest.CaptureFixture[str]):
    assert load("detect_stream").main(str(clip), yolo) == FRAMES
    assert "0.080 s  0 objects" in capsys.readouterr().out


def test_detect_predictor(clip: Path, yolo: str, capsys: pytest.CaptureFixture[str]):
    assert load("detect_predictor").main(str(clip), yolo) == FRAMES
    assert capsys.readouterr().out.count("rain score") == FRAMES


def test_detect_val(
    tmp_path: Path, yolo: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i in range(3):
        write_image(tmp_path / "images" / f"{i}.png", np.full((48, 64, 3), 60 * i, np.uint8))
        (tmp_path / "labels" / f"{i}.txt").write_text("2 0.5 0.5 0.4 0.4\n")
    names = [f"  {number}: {name}" for number, name in enumerate(COCO_NAMES)]
    about = [f"path: {tmp_path}", "train: images", "val: images", "names:", *names]
    (tmp_path / "data.yaml").write_text("\n".join(about))
    monkeypatch.chdir(tmp_path)  # the example writes into a folder "val"
    assert abs(load("detect_val").main(str(tmp_path / "data.yaml"), yolo)) <= 1
    assert "of 3 pictures passed" in capsys.readouterr().out


class Seer:
    """A detector that finds a car in every picture, and a person in every other one."""

    def __init__(self, weights: str) -> None:
        assert weights == "seer.onnx"
        self._seen = 0

    def __call__(self, frames: list[np.ndarray]) -> list[Detections]:
        found = []
        for _ in frames:
            self._seen += 1
            boxes = [[4, 4, 30, 20], [40, 10, 50, 40]][: 1 + self._seen % 2]
            found.append(Detections.of(boxes, [0.9, 0.8][: len(boxes)], [2, 0][: len(boxes)]))
        return found


def test_supervision_boxes(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    supervision = pytest.importorskip("supervision")
    module, out = load("supervision_boxes"), tmp_path / "boxes.mp4"
    monkeypatch.setattr(module, "load_detector", Seer)
    seen = module.to_supervision(Seer("seer.onnx")([np.zeros((48, 64, 3), np.uint8)])[0])
    assert isinstance(seen, supervision.Detections) and list(seen["class_name"]) == [
        "car",
        "person",
    ]
    assert module.main(str(clip), "seer.onnx", str(out)) == FRAMES
    with VideoReader(out) as reader, VideoReader(clip) as rainy:
        pairs = zip(Derainer("d-daiam-rt").stream(rainy), reader, strict=True)
        for plain, drawn in pairs:  # something of a box's colour is there, and time has not changed
            assert drawn.time == plain.time
            assert np.abs(drawn.eight_bit().astype(int) - plain.eight_bit())[:24, :32].mean() > 3


def test_rerun_wins(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("rerun")
    module, out = load("rerun_wins"), tmp_path / "wins.rrd"
    monkeypatch.setattr(module, "load_detector", Seer)
    # The seer is asked for rainy and derained in turn: the person is always on the rainy side.
    assert module.main(str(clip), "seer.onnx", str(out)) == (0, FRAMES)
    assert capsys.readouterr().out == f"0 boxes won, {FRAMES} lost\n"
    record = out.read_bytes()
    assert record.startswith(b"RRF2") and b"/balance/lost" in record


def test_detections_over_time(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = load("detections_over_time")
    monkeypatch.setattr(module, "load_detector", Seer)
    assert module.main(str(clip), "seer.onnx", str(tmp_path / "out"), "heavy", "2") == 2
    assert probe(tmp_path / "out" / "detections.mp4").frames == 2
    assert "<svg" in (tmp_path / "out" / "detections.svg").read_text(encoding="utf-8")


@dataclass
class Message:
    """The fields of sensor_msgs/msg/Image."""

    header: str = "stamp"
    height: int = 0
    width: int = 0
    encoding: str = ""
    is_bigendian: int = 0
    step: int = 0
    data: bytes = field(default=b"", repr=False)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
def test_ros2_node_converts_messages(encoding: str):
    module = load("ros2_node")
    rgb = np.random.default_rng(2).integers(0, 255, (3, 5, 3), np.uint8)
    alpha = np.full((3, 5, 1), 255, np.uint8)
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], 2),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], 2),
        "mono8": rgb[..., :1],
    }[encoding]
    rows = np.pad(pixels.reshape(3, -1), ((0, 0), (0, 3)))  # rows may be longer than the picture
    message = Message(height=3, width=5, encoding=encoding, step=rows.shape[1], data=rows.tobytes())
    array = module.to_array(message)
    expected = np.repeat(rgb[..., :1], 3, axis=2) if encoding == "mono8" else rgb
    assert np.array_equal(array, expected)
    back = module.fill(Message(), array, message.header)
    assert (back.header, back.encoding, back.step) == ("stamp", "rgb8", 15)
    assert np.array_equal(module.to_array(back), array)


def test_ros2_node_says_what_it_needs(monkeypatch: pytest.MonkeyPatch):
    module = load("ros2_node")
    with pytest.raises(ValueError, match="encoding 'yuv422'"):
        module.to_array(Message(height=1, width=2, step=4, encoding="yuv422", data=bytes(4)))
    monkeypatch.setattr(module, "rclpy", None)
    with pytest.raises(SystemExit, match="needs ROS 2"):
        module.run([])


@pytest.fixture
def bindings(tmp_path: Path) -> dict[str, str]:
    """An environment in which this Python finds the distribution's bindings of GStreamer."""
    folder = tmp_path / "bindings"
    folder.mkdir()
    if importlib.util.find_spec("gi") is None:
        if not Path("/usr/lib/python3/dist-packages/gi").is_dir():
            pytest.skip("needs the Python bindings of GStreamer (Debian: python3-gi)")
        (folder / "gi").symlink_to("/usr/lib/python3/dist-packages/gi")
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    elements = "videotestsrc", "x264enc", "matroskamux"
    check = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstApp', '1.0');"
        "from gi.repository import Gst; Gst.init(None);"
        f"assert all(Gst.ElementFactory.find(name) for name in {elements})"
    )
    done = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True)
    if done.returncode != 0:
        pytest.skip("this Python cannot load the bindings of GStreamer, or elements are missing")
    return environment


@pytest.mark.slow
def test_gstreamer_appsink(bindings: dict[str, str], tmp_path: Path):
    # 66 pixels: rows are padded.
    source = "videotestsrc num-buffers=4 ! video/x-raw,width=66,height=48,framerate=10/1"
    sink = "x264enc ! matroskamux ! filesink location=out.mkv"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "gstreamer_appsink.py", source, sink],
        cwd=tmp_path,
        env=bindings,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 frames derained\n"
    with VideoReader(tmp_path / "out.mkv") as reader:
        frames = list(reader)
    assert [round(float(frame.time - frames[0].time), 3) for frame in frames] == [0, 0.1, 0.2, 0.3]
    # The test picture's first bars are white, yellow and cyan.
    white, yellow, cyan = (frames[0].eight_bit()[4:16, x].mean(0) for x in (4, 14, 23))
    assert white.min() > 150 and yellow[2] < 80 < yellow[1] and cyan[0] < 80 < cyan[2]


@pytest.mark.slow
def test_onnx_node(tmp_path: Path, tiny_model: Path):
    pytest.importorskip("onnxruntime")
    node = shutil.which("node")
    modules = Path(os.environ.get("RAINCLEAR_NODE_MODULES", EXAMPLES.parent / "node_modules"))
    if node is None or not (modules / "onnxruntime-node").is_dir():
        pytest.skip("needs node and: npm install --no-save --ignore-scripts onnxruntime-node")
    from rainclear.export.export import ExportOptions, export_model

    script = shutil.copy(EXAMPLES / "onnx_node.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(modules.resolve())
    exported = tmp_path / "derain.onnx"
    export_model(str(tiny_model), str(exported), options=ExportOptions(size=(48, 64)))
    frames = np.random.default_rng(4).integers(0, 255, (FRAMES, 48, 64, 3), np.uint8)
    done = subprocess.run(
        [node, script, exported, "64", "48"],
        input=frames.tobytes(),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    out = np.frombuffer(done.stdout, np.uint8).reshape(frames.shape)
    derainer = Derainer(str(tiny_model), device="cpu", precision="fp32")
    wanted = np.stack([derainer.process(frame) for frame in frames]).astype(int)
    assert np.abs(out - wanted).max() <= 2
    # Frame by frame without its state, the network gives something else.
    alone = derainer.reset() or derainer.process(frames[-1])
    assert np.abs(alone.astype(int) - wanted[-1]).max() > 2
