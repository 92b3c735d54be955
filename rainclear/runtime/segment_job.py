"""What the segments of a long job have in common, and which there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rainclear.runtime.options import JobOptions
from rainclear.runtime.outputs import output_size
from rainclear.video import VideoInfo

__all__ = ["SEGMENT_FRAMES", "Segment", "SegmentJob", "plan_segments"]

SEGMENT_FRAMES = 250
"""Frames of a segment: what a kill costs at most, against a key frame more in the output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Frames ``first`` to ``first + frames - 1`` of the output; the last may have fewer."""

    number: int
    first: int
    frames: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentJob:
    """What all segments of a video have in common.

    Attributes:
        source: The video to read.
        output: The file that will be written in the end.
        info: What the reader says of the source.
        options: What to derain of it, and how the output is made.
        threads: Encoder threads.
    """

    source: Path
    output: Path
    info: VideoInfo
    options: JobOptions
    threads: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the output, as stored."""
        return output_size(self.info, compare=self.options.compare)


def plan_segments(
    frames: int | None = None, *, length: int = SEGMENT_FRAMES, first: int = 0
) -> Iterator[Segment]:
    """The segments of a video.

    Args:
        frames: Frames of the video; ``None`` if they are not known: there is no end then.
        length: Frames of each segment.
        first: Frames that are done already, a multiple of ``length``.
    """
    for begin in count(first, length):
        if frames is not None and begin >= frames:
            return
        left = length if frames is None else min(length, frames - begin)
        yield Segment(number=begin // length, first=begin, frames=left)
