"""A short clean clip for those who have no file at hand."""

from fractions import Fraction
from pathlib import Path

from rainclear.evaluation.demo import find_photograph, pan
from rainclear.frame import Frame
from rainclear.video import VideoInfo, VideoWriter, read_image

__all__ = ["write_sample"]

_FRAMES, _RATE = 24, 12


def write_sample(path: Path, photograph: Path | None = None) -> Path:
    """Two seconds of a camera that moves over a photograph.

    Args:
        path: The video to write; an earlier one is replaced.
        photograph: By default the one of :func:`~rainclear.evaluation.demo.find_photograph`.

    Raises:
        InputError: The photograph cannot be read.
    """
    pixels = read_image(photograph).eight_bit() if photograph else find_photograph()[1]
    clip = pan(pixels, _FRAMES)
    height, width = clip[0].shape[:2]
    info = VideoInfo(
        path=Path(), width=width, height=height, time_base=Fraction(1, _RATE), rate=Fraction(_RATE)
    )
    with VideoWriter(
        path, template=info, crf=14, preset="veryfast", keep_streams=False, overwrite=True
    ) as writer:
        for i, pixels in enumerate(clip):
            writer.write(Frame(pixels=pixels, pts=i, time_base=Fraction(1, _RATE), index=i))
    return path
