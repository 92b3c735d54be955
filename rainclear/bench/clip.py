"""A generated clip: the same rainy drive on every machine, with its truth."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rainclear.data.deadleaves import dead_leaves
from rainclear.frame import Frame
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.video import VideoInfo, VideoWriter

__all__ = ["RAIN", "drawn_scene", "rain_on", "there_and_back", "write_clip"]

Pixels = npt.NDArray[np.uint8]

RAIN = "moderate"
"""The preset that all generated clips are rained on with."""

_CYCLE = 16
_TICKS, _RATE = 12800, 25


def drawn_scene(size: tuple[int, int], frames: int) -> list[Pixels]:
    """``frames`` pictures H×W×3 of ``size`` (height, width): a camera that pans over shapes."""
    height, width = size
    picture = dead_leaves(np.random.default_rng(0), max(size) + frames)
    return [np.ascontiguousarray(picture[i : i + height, i : i + width]) for i in range(frames)]


def rain_on(clean: Sequence[Pixels]) -> list[Pixels]:
    """The same frames in the rain."""
    height, width = clean[0].shape[:2]
    rain = RainClip(preset(RAIN, height=height), height, width, seed=0)
    made = (rain(frame.astype(np.float32) / np.float32(255)).rainy for frame in clean)
    return [np.rint(frame * 255).astype(np.uint8) for frame in made]


def there_and_back(count: int, length: int) -> Iterator[int]:
    """``count`` numbers that run to ``length`` - 1 and back, so that nothing ever jumps."""
    turn = max(1, 2 * (length - 1))
    return (min(i % turn, turn - i % turn) for i in range(count))


def write_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """Write an H.264 video of ``frames`` rainy frames of ``size`` (height, width).

    Sixteen frames are made, and shown there and back: rain takes longer to make than to take out.
    """
    rainy = rain_on(drawn_scene(size, min(frames, _CYCLE)))
    height, width = size
    base = Fraction(1, _TICKS)
    info = VideoInfo(path=Path(), width=width, height=height, time_base=base, rate=Fraction(_RATE))
    with VideoWriter(path, template=info, preset="veryfast", keep_streams=False) as writer:
        first = Frame(pixels=rainy[0], time_base=base)
        for i, k in enumerate(there_and_back(frames, len(rainy))):
            writer.write(replace(first, pixels=rainy[k], pts=i * _TICKS // _RATE, index=i))
