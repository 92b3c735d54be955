"""Shared fixtures: a tiny model, tiny videos, and no thread of ours left behind."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WIDTH, HEIGHT = 64, 48


class _SignalStack(ctypes.Structure):
    """``stack_t`` of <signal.h> on Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


_SS_DISABLE = 2


def pytest_configure() -> None:
    """Listen to Ctrl-C, as in a terminal; a shell starts background jobs without."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_handler_left() -> Iterator[None]:
    """torch's DataLoader leaves a handler of SIGCHLD behind, which later tests' processes call.

    Python lets its handlers run on an alternate stack where there is one, and some packages turn
    faulthandler on, whose stack is small: with all that the whole suite loads, the kernel could not
    deliver that signal there (SIGSEGV without an address, in a test of a DataLoader). Handlers run
    on the thread's own stack here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(flags=_SS_DISABLE)), None)
    yield
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured once per machine is not read from the user's cache, nor put there.

    Nor does one test choose the backend of another, whose last digits may differ.
    """
    monkeypatch.setenv("RAINCLEAR_CACHE", str(tmp_path_factory.mktemp("cache")))
    if auto := sys.modules.get("rainclear.runtime.backends.auto"):
        monkeypatch.setattr(auto, "_IN_MEMORY", {})


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gpu skip without CUDA, or fail where the caller promises that there is one."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if torch.cuda.is_available():
        return
    if os.environ.get("RAINCLEAR_REQUIRE_CUDA") == "1":
        pytest.fail("RAINCLEAR_REQUIRE_CUDA=1, but this machine has no CUDA", pytrace=False)
    pytest.skip("needs a CUDA device")


def rainclear_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("rainclear-")]


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    yield
    assert rainclear_threads() == []


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a random d-daiam-rt whose output is far from its input."""
    import torch

    from rainclear.config import ArchitectureSpec, ModelSpec
    from rainclear.runtime.load import build_network
    from rainclear.training.run import export_model

    torch.manual_seed(5)
    spec = ModelSpec(
        name="tiny",
        summary="random weights",
        architecture=ArchitectureSpec(network="d-daiam-rt"),
    )
    network = build_network(spec.architecture)
    # A fresh network is nearly the identity, and tests could not tell its state or its colours.
    torch.nn.init.normal_(network.refine_image.weight, std=0.02)
    torch.nn.init.normal_(network.stem_change.weight, std=0.4)
    return export_model(network, spec, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def _derainer(tiny_model: Path):
    from rainclear import Derainer

    return Derainer(str(tiny_model), device="cpu", precision="fp32", backend="eager")


@pytest.fixture
def derainer(_derainer):
    """The tiny network on the CPU, at the start of a stream."""
    _derainer.reset()
    return _derainer


def draw(index: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A smooth RGB picture, no two channels alike, that moves with the index."""
    y, x = np.mgrid[0:height, 0:width]
    red = 40 + 120 * x / width + 3 * index
    green = 60 + 100 * y / height
    blue = 200 - 60 * (x + y) / (width + height)
    return np.stack([red, green, blue], -1).astype(np.uint8)


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    return draw


def _sound(out: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for block in range(int(seconds * 50)):
        tone = np.sin((np.arange(960) + block * 960) / 15).astype(np.float32) * 0.3
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, block * 960, Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny H.264 file with PyAV alone, so that nothing is tested against itself."""

    def make(
        name: str = "in.mp4",
        *,
        pts: Sequence[int] = range(5),
        time_base: Fraction = Fraction(1, 25),
        size: tuple[int, int] = (WIDTH, HEIGHT),
        sound: bool = False,
        faststart: bool = False,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        rotation: int = 0,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = {"movflags": "faststart"} if faststart else {}
        with av.open(str(path), "w", container_options=flags) as out:
            fast = {"preset": "ultrafast"} if codec == "libx264" else {}
            stream = out.add_stream(
                codec, rate=25, time_base=time_base, options=fast | (options or {})
            )
            stream.time_base = time_base
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            if rotation:
                stream.set_display_rotation(rotation)
            audio = out.add_stream("aac", rate=48000) if sound else None
            for index, stamp in enumerate(pts):
                rgb = draw(index, *size)
                frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = stamp, time_base
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if audio:
                _sound(out, audio, max(0.2, len(pts) / 25))
        return path

    return make


@pytest.fixture
def make_picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny picture."""
    import cv2

    def make(name: str = "in.png", *, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), draw(0, *size)[..., ::-1])
        return path

    return make


@pytest.fixture
def broken_video(tmp_path: Path) -> Callable[[str], Path]:
    """Writes inputs that cannot be read, by what is wrong with them."""

    def make(kind: str) -> Path:
        path = tmp_path / f"{kind}.mp4"
        if kind == "text":
            path.write_text("It rained all day.\n" * 50)
        elif kind == "empty":
            path.touch()
        elif kind == "sound-only":
            with av.open(str(path), "w") as out:
                _sound(out, out.add_stream("aac", rate=48000), 0.2)
        elif kind != "missing":
            raise ValueError(kind)
        return path

    return make


@pytest.fixture
def stamps() -> Callable[[Path], list[Fraction]]:
    """Presentation times of a video in seconds, read with PyAV alone."""

    def read(path: Path) -> list[Fraction]:
        with av.open(str(path)) as video:
            return [frame.pts * frame.time_base for frame in video.decode(video=0)]

    return read


@pytest.fixture
def files_in() -> Callable[[Path], set[str]]:
    """Names of all files below a folder, hidden ones too."""

    def names(folder: Path) -> set[str]:
        return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}

    return names
