"""Every example runs as it stands, on a small clip."""

import importlib.util
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rainclear.detection import COCO_NAMES
from rainclear.frame import Frame
from rainclear.video import VideoInfo, VideoWriter, probe, write_image

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


def test_every_example_has_a_test():
    tested = {
        *("add_rain", "detect_predictor", "detect_stream", "detect_val", "opencv_loop"),
        *("stream_frames", "video_capture"),
    }
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


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
