"""A whole round trip without any data: rain on a panned photograph, derain it, measure."""

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.data.deadleaves import dead_leaves
from rainclear.errors import OutputError
from rainclear.evaluation.metrics import psnr
from rainclear.frame import Frame
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.jobs import EncodeOptions, derain_video
from rainclear.video import VideoInfo, VideoReader, VideoWriter, read_image, write_image

__all__ = ["DemoResult", "find_photograph", "pan", "run_demo"]

Pixels = npt.NDArray[np.uint8]

_WIDTH, _HEIGHT, _RATE = 640, 360, 25
_PHOTOGRAPHS = (
    ("ultralytics", "assets/bus.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult:
    """What the demo found.

    Attributes:
        picture: Which picture was used.
        psnr_rainy: Mean PSNR of the rainy frames against the clean ones in dB.
        psnr_derained: The same for the derained frames.
        fps: Frames a second of the deraining, files included.
        width: Width of the clip in pixels.
        height: Height of the clip in pixels.
        files: Files written.
    """

    picture: str
    psnr_rainy: float
    psnr_derained: float
    fps: float
    width: int
    height: int
    files: tuple[Path, ...]


def find_photograph() -> tuple[str, Pixels]:
    """A photograph that ships with an installed package, or a procedural picture; with its name."""
    for package, file in _PHOTOGRAPHS:
        spec = importlib.util.find_spec(package)  # finds the files without importing the package
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(folder) / file
            if path.is_file():
                return f"{Path(file).name} of the package {package}", read_image(path).eight_bit()
    return "drawn shapes (no photograph found)", dead_leaves(np.random.default_rng(3), 900)


def pan(picture: Pixels, frames: int) -> list[Pixels]:
    """A clip of 640×360 frames from a camera that moves over ``picture`` and draws nearer."""
    height, width = picture.shape[:2]
    clip = []
    for t in np.linspace(0.0, 1.0, frames):
        window_width = min(width, height * _WIDTH / _HEIGHT) * (0.92 - 0.12 * t)
        window_height = window_width * _HEIGHT / _WIDTH
        x = (width - window_width) * (0.35 + 0.3 * t)
        y = (height - window_height) * (0.35 + 0.2 * t)
        scale = window_width / _WIDTH
        matrix = np.array([[scale, 0, x], [0, scale, y]])
        flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP if scale < 1 else cv2.INTER_LINEAR
        clip.append(
            cv2.warpAffine(
                picture,
                matrix,
                (_WIDTH, _HEIGHT),
                flags=flags | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            )
        )
    return clip


def _write(path: Path, clip: list[Pixels], *, overwrite: bool) -> None:
    info = VideoInfo(
        path=Path(),
        width=_WIDTH,
        height=_HEIGHT,
        time_base=Fraction(1, 12800),
        rate=Fraction(_RATE),
    )
    writer = VideoWriter(
        path, template=info, crf=12, preset="veryfast", overwrite=overwrite, keep_streams=False
    )
    with writer:
        for i, pixels in enumerate(clip):
            frame = Frame(
                pixels=pixels, pts=i * 12800 // _RATE, time_base=Fraction(1, 12800), index=i
            )
            writer.write(frame)


def run_demo(
    out: Path,
    *,
    picture: Path | None = None,
    rain: str = "moderate",
    frames: int = 60,
    model: str = "d-daiam-rt",
    device: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
) -> DemoResult:
    """Write ``rainy.mp4``, ``derained.mp4`` and ``side-by-side.png`` into ``out`` and measure.

    Args:
        out: Folder, made if need be.
        picture: Photograph to use; by default :func:`find_photograph`.
        rain: Name of a rain preset.
        frames: Length of the clip.
        model: Model by name or folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: Seed of the rain.
        overwrite: Whether earlier results may be replaced.

    Raises:
        OutputError: The folder cannot be made or the files exist.
        ConfigError: There is no such preset.
        ModelError: There is no such model, or its weights are not what was published.
        DeviceError: This machine has no such device.
    """
    name, photograph = (
        (str(picture), read_image(picture).eight_bit()) if picture else find_photograph()
    )
    params = preset(rain, height=_HEIGHT)
    derainer = Derainer(model, device=device)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    rainy_path, derained_path, png = (
        out / "rainy.mp4",
        out / "derained.mp4",
        out / "side-by-side.png",
    )
    clean = pan(photograph, frames)
    clouds = RainClip(params, _HEIGHT, _WIDTH, seed=seed)
    rained = [clouds(c.astype(np.float32) / np.float32(255)).rainy for c in clean]
    _write(rainy_path, [np.rint(r * 255).astype(np.uint8) for r in rained], overwrite=overwrite)
    report = derain_video(
        rainy_path,
        derained_path,
        derainer=derainer,
        encode=EncodeOptions(crf=12),
        overwrite=overwrite,
    )
    with VideoReader(rainy_path) as reader:
        rainy = [frame.pixels for frame in reader]
    with VideoReader(derained_path) as reader:
        derained = [frame.pixels for frame in reader]
    middle = frames // 2
    both = np.concatenate([rainy[middle], derained[middle]], axis=1)
    write_image(png, both, overwrite=overwrite)
    return DemoResult(
        picture=name,
        psnr_rainy=float(np.mean([psnr(a, b) for a, b in zip(rainy, clean, strict=True)])),
        psnr_derained=float(np.mean([psnr(a, b) for a, b in zip(derained, clean, strict=True)])),
        fps=report.fps,
        width=_WIDTH,
        height=_HEIGHT,
        files=(rainy_path, derained_path, png),
    )
