"""A folder with all the files that the pages speak of, each as small as can be."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.detection import COCO_NAMES
from rainclear.frame import Frame
from rainclear.video import VideoInfo, VideoWriter

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 48, 64


def _picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(30, 220, (5, 6, 3), np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(coarse, (WIDTH, HEIGHT)))


def _video(path: Path, frames: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    info = VideoInfo(path=Path(), width=WIDTH, height=HEIGHT, time_base=Fraction(1, 25))
    coarse = np.random.default_rng(1).integers(30, 220, (5, 9, 3), np.uint8)
    wide = cv2.resize(coarse, (WIDTH + 2 * frames, HEIGHT))
    with VideoWriter(path, template=info, keep_streams=False) as writer:
        for i in range(frames):
            pixels = np.ascontiguousarray(wide[:, 2 * i : 2 * i + WIDTH])
            writer.write(Frame(pixels=pixels, pts=i, time_base=Fraction(1, 25), index=i))


def _fill(root: Path) -> None:
    names = "dashcam clean drive in night footage/one recordings/1 dry/1 wet/1"
    for name in names.split():
        _video(root / f"{name}.mp4", frames=8 if name == "drive" else 4)
    for name in ("photo.jpg", "rain/01.png", "clean/01.png", "left.png", "right.png"):
        _picture(root / name)
    for number in range(3):
        _picture(root / f"frame_{number:04}.png", number)
    (root / "out").mkdir()
    shutil.copytree(ROOT / "pipelines", root / "pipelines")
    for split in ("train", "test_a"):
        _picture(root / f"data/raindrop/{split}/data/0_rain.png", 1)
        _picture(root / f"data/raindrop/{split}/gt/0_clean.png", 2)
    for folder in ("kitti", "dawn"):
        _picture(root / folder / "images" / "0.png", 4)
        labels = root / folder / "labels" / "0.txt"
        labels.parent.mkdir()
        labels.write_text("2 0.5 0.5 0.4 0.4\n")
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(COCO_NAMES))
    about = "path: kitti\ntrain: images\nval: images\nnames:\n"
    (root / "kitti.yaml").write_text(about + names)
    _video(root / "home/clean/one.mp4")
    shutil.copytree(root / "data", root / "home/data")
    shutil.copyfile(ROOT / "models/d-daiam-rt/model.yaml", root / "my-recipe.yaml")
    yolo = ROOT.parent / "shared/detectors/yolo11n.pt"
    if yolo.is_file():
        (root / "yolo11n.pt").symlink_to(yolo)


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    _fill(root)
    return root


@pytest.fixture
def workshop(_filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, and to be at home in, with every file that the pages name."""
    root = tmp_path / "workshop"
    shutil.copytree(_filled, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(root / "home"))
    return root


class Camera:
    """Stands for cv2.VideoCapture: three frames, then none."""

    def __init__(self) -> None:
        self.left = 3

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (
            (True, np.full((HEIGHT, WIDTH, 3), 90, np.uint8)) if self.left >= 0 else (False, None)
        )


@pytest.fixture
def camera() -> Callable[[], Camera]:
    return Camera
