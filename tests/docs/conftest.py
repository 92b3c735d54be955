"""A folder with all that the pages speak of, as small as can be, and what stands for the rest.

Files, a camera, a network camera, a bucket, a player that closes, a cluster's processes.
"""

import _thread
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

from rainclear.detection import COCO_NAMES
from rainclear.frame import Frame
from rainclear.runtime.backends.base import BackendName
from rainclear.runtime.backends.measure import Timing
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
    names = "dashcam clean drive in night rain footage/one recordings/1 dry/1 wet/1 D/1 SAMPLE/1"
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
    for name in ("my-recipe.yaml", "R.yaml"):
        shutil.copyfile(ROOT / "models/d-daiam-rt/model.yaml", root / name)
    shutil.copytree(ROOT / "examples", root / "examples")
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


_OPENCV = cv2.VideoCapture


class Camera:
    """Stands for ``cv2.VideoCapture``: the camera 0 shows a clip and is gone.

    A camera that is gone is looked for again, for a minute: the second time somebody presses
    Ctrl-C.
    """

    opened = 0

    def __init__(self, source: str | int | None = None, api: int = cv2.CAP_ANY) -> None:
        self._real = _OPENCV()
        if source is not None:
            self.open(source, api)

    def open(self, source: str | int, api: int = cv2.CAP_ANY) -> bool:
        if source != 0:
            return self._real.open(source, api)
        Camera.opened += 1
        if Camera.opened == 2:
            _thread.interrupt_main()
        return self._real.open("dashcam.mp4")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Camera]]:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr(Camera, "opened", 0)

    def eager_alone(*_: object, names: Sequence[BackendName], **__: object) -> list[Timing]:
        return [Timing(backend=name, ms=1.0 if name == "eager" else None) for name in names]

    # Measuring would take longer than all that the camera shows.
    monkeypatch.setattr("rainclear.runtime.backends.auto.measure", eager_alone)
    # A shell starts programs in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Camera
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def network_camera() -> Iterator[str]:
    """Address of the RTSP server of tests/runtime."""
    path = ROOT / "tests" / "runtime" / "test_live_rtsp.py"
    spec = importlib.util.spec_from_file_location("live_rtsp", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.RtspServer(module.encoded(400))
    yield f"rtsp://127.0.0.1:{server.port}/front"
    server.kill()


_RAINCLEAR = f"#!{sys.executable}\nfrom rainclear.cli.app import main\nmain()\n"
# Shows eight small frames and is closed, as players are.
_PLAYER = "#!/bin/sh\nhead -c 40000 > played\n"


@pytest.fixture
def programs(workshop: Path) -> dict[str, str]:
    """An environment for a shell: this Python's programs, and a player without a screen."""
    folder = workshop / "bin"
    folder.mkdir()
    for name, text in (("rainclear", _RAINCLEAR), ("ffplay", _PLAYER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    modules = Path(os.environ.get("RAINCLEAR_NODE_MODULES", ROOT / "node_modules"))
    (workshop / "node_modules").symlink_to(modules.resolve())
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    python = f"{_bindings(workshop)}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    return clean | {
        "PATH": path,
        "HOME": str(workshop / "home"),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": python,
    }


def _bindings(workshop: Path) -> Path:
    """A folder with the distribution's bindings of GStreamer alone, if there are any."""
    folder, theirs = workshop / "bindings", Path("/usr/lib/python3/dist-packages/gi")
    folder.mkdir()
    if importlib.util.find_spec("gi") is None and theirs.is_dir():
        (folder / "gi").symlink_to(theirs)
    return folder


@pytest.fixture
def background() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts programs that stay until the end of the test."""
    running: list[subprocess.Popen[str]] = []

    def start(command: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return running[-1]

    yield start
    for process in reversed(running):
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def bucket(workshop: Path) -> Iterator[dict[str, str]]:
    """The bucket ``fleet`` of an S3 server on this machine: how a process gets to it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()  # one for all servers
    storage = s3fs.S3FileSystem(
        key="rain", secret="clear", endpoint_url=address, skip_instance_cache=True
    )
    storage.mkdir("fleet")
    storage.put_file("dashcam.mp4", "fleet/2026-11/monday/dashcam.mp4")
    storage.put_file("photo.jpg", "fleet/2026-11/photo.jpg")
    yield {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "rain",
        "AWS_SECRET_ACCESS_KEY": "clear",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()
