"""Clean scenes that rain is added to: videos as they move, pictures under an invented camera."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.errors import InputError
from rainclear.video import VideoReader, is_image, read_image

__all__ = ["Scene", "View", "load_scenes", "sample_clip", "sample_frames", "sample_view"]

Pixels = npt.NDArray[np.uint8]

_UNIT, _LOW, _HIGH, _WIDEST = 32, 256, 450, 800
"""Sides of whole frames in pixels: their unit, least and largest height, largest width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Consecutive frames of one place; a picture is a scene of one frame.

    Attributes:
        name: File the scene comes from.
        frames: RGB pictures H×W×3 uint8, all of one size.
    """

    name: str
    frames: list[Pixels]


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Where in its frame a crop lies.

    Attributes:
        top: Upper edge of the crop, in heights of the frame.
        height: Height of the crop, in heights of the frame.
    """

    top: float
    height: float


def load_scenes(root: Path, patterns: Iterable[str], *, max_frames: int) -> list[Scene]:
    """Read the videos and pictures below ``root`` that match any of the glob patterns, each once.

    Args:
        root: Data folder.
        patterns: Glob patterns relative to it.
        max_frames: Frames kept of each video, from the start.

    Raises:
        InputError: The folder is missing, a pattern is not relative to it or matches nothing, or a
            file is neither a video nor a picture.
    """
    if not root.is_dir():
        raise InputError(f"no data folder {root}; give the folder with --data")
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not pattern or Path(pattern).is_absolute():
            raise InputError(f"{pattern!r} is not a pattern relative to the data folder {root}")
        files = sorted(path for path in root.glob(pattern) if path.is_file())
        if not files:
            raise InputError(f"nothing in {root} matches {pattern!r}")
        found |= dict.fromkeys(files)
    return [Scene(name=file.name, frames=_read(file, max_frames)) for file in found]


def _read(file: Path, max_frames: int) -> list[Pixels]:
    if is_image(file):
        return [read_image(file).eight_bit()]
    with VideoReader(file) as reader:
        return [frame.eight_bit() for frame in islice(reader, max_frames)]


def sample_clip(
    scene: Scene, rng: np.random.Generator, *, size: int, length: int
) -> list[npt.NDArray[np.float32]]:
    """A random clip of ``length`` square crops, float32 RGB in [0, 1], at a random scale.

    A video keeps its own motion (forwards or backwards, every frame or every second one); a picture
    gets a camera that pans, zooms and shakes.
    """
    return sample_view(scene, rng, size=size, length=length)[0]


def sample_view(
    scene: Scene, rng: np.random.Generator, *, size: int, length: int
) -> tuple[list[npt.NDArray[np.float32]], View]:
    """The clip of :func:`sample_clip`, and where in the scene's frames it lies."""
    height, width = scene.frames[0].shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.45), np.log(1.15))))
    still = len(scene.frames) < 2 * length
    room = size + (64 if still else 0)
    side = int(min(room / scale, height, width))
    x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    flip = rng.random() < 0.5
    edge = (room - size) / 2 / room * side
    view = View(top=(y + edge) / height, height=(side - 2 * edge) / height)

    def cut(frame: Pixels) -> Pixels:
        window = frame[y : y + side, x : x + side]
        method = cv2.INTER_AREA if side > room else cv2.INTER_CUBIC
        picture = cv2.resize(window, (room, room), interpolation=method)
        return picture[:, ::-1] if flip else picture

    if not still:
        step = int(rng.integers(1, 3))
        first = int(rng.integers(len(scene.frames) - (length - 1) * step))
        chosen = scene.frames[first : first + (length - 1) * step + 1 : step]
        if rng.random() < 0.3:
            chosen = chosen[::-1]
        return _develop([cut(frame) for frame in chosen], rng), view

    picture = np.ascontiguousarray(cut(scene.frames[int(rng.integers(len(scene.frames)))]))
    moving = rng.random() < 0.85
    pan = rng.normal(0, 2.5, 2) if moving else np.zeros(2)
    zoom = rng.normal(0, 0.008) if moving else 0.0
    shake = abs(rng.normal(0, 0.6)) if moving else 0.0
    frames = []
    for t in range(length):
        k = 1 + zoom * (t - length / 2)
        dx, dy = np.clip(pan * (t - length / 2) + rng.normal(0, shake + 1e-9, 2), -28, 28)
        centre = room / 2
        matrix = np.array([[k, 0, centre * (1 - k) + dx - 32], [0, k, centre * (1 - k) + dy - 32]])
        frames.append(
            cv2.warpAffine(
                picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
        )
    return _develop(frames, rng), view


def sample_frames(
    scene: Scene, rng: np.random.Generator, *, length: int
) -> tuple[list[npt.NDArray[np.float32]], View]:
    """A random clip of ``length`` frames that show most of the scene's, and where they lie in them.

    They are 256 to 448 pixels high and 256 to 800 wide, both multiples of 32; float32 RGB in
    [0, 1]. A video keeps its own motion; what has fewer frames than the clip is a picture under a
    camera that pans.
    """
    height, width = scene.frames[0].shape[:2]
    share = float(rng.uniform(0.6, 1.0))
    rows = int(height * share)
    columns = int(width * rng.uniform(max(0.5, share - 0.2), 1.0))
    y, x = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    tall = float(np.exp(rng.uniform(np.log(_LOW), np.log(_HIGH))))
    wide = float(np.clip(tall * columns / rows, _LOW, _WIDEST))
    size = (int(wide) // _UNIT * _UNIT, int(tall) // _UNIT * _UNIT)
    method = cv2.INTER_AREA if rows > size[1] else cv2.INTER_LINEAR
    flip = rng.random() < 0.5
    pan = int(rng.integers(-3, 4))

    def cut(frame: Pixels) -> Pixels:
        picture = cv2.resize(frame[y : y + rows, x : x + columns], size, interpolation=method)
        return np.ascontiguousarray(picture[:, ::-1]) if flip else picture

    if len(scene.frames) >= length:
        first = int(rng.integers(len(scene.frames) - length + 1))
        frames = [cut(frame) for frame in scene.frames[first : first + length]]
    else:
        picture = cut(scene.frames[int(rng.integers(len(scene.frames)))])
        frames = [_shifted(picture, pan * (t - length // 2)) for t in range(length)]
    return _develop(frames, rng), View(top=y / height, height=rows / height)


def _shifted(picture: Pixels, pixels: int) -> Pixels:
    matrix = np.array([[1.0, 0.0, pixels], [0.0, 1.0, 0.0]])
    return cv2.warpAffine(
        picture,
        matrix,
        picture.shape[1::-1],
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT,
    )


def _develop(frames: list[Pixels], rng: np.random.Generator) -> list[npt.NDArray[np.float32]]:
    """Another exposure, gamma, colour balance and sensor noise, the same over the whole clip."""
    gain = float(np.clip(rng.lognormal(-0.1, 0.28), 0.15, 1.6))
    gamma = float(np.clip(rng.lognormal(0, 0.2), 0.6, 1.7))
    balance = rng.normal(1, 0.06, 3)
    # Not often: a scene that has lost its colours looks like one behind a veil.
    grey = float(rng.uniform(0, 0.7)) if rng.random() < 0.15 else 0.0
    table = np.clip(np.linspace(0, 1, 256) ** gamma * gain, 0, 1).astype(np.float32)
    noise = float(rng.uniform(0, 0.02)) if rng.random() < 0.5 else 0.0
    result = []
    for frame in frames:
        picture = table[frame] * balance.astype(np.float32)
        if grey:
            picture += grey * (picture.mean(axis=2, keepdims=True) - picture)
        if noise:
            picture += noise * rng.standard_normal(picture.shape, dtype=np.float32)
        result.append(np.clip(picture, 0, 1).astype(np.float32))
    return result
