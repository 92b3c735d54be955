"""Reads a video as RGB frames, each once, with its own time stamp."""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Self

import av
from av.container import InputContainer

from rainclear.errors import InputError
from rainclear.frame import ColorDescription, Frame
from rainclear.video.convert import FrameToRGB
from rainclear.video.decode import decode
from rainclear.video.part import Cut, Part, Position
from rainclear.video.probe import VideoInfo, color_of, describe
from rainclear.video.report import ReadReport, Tally
from rainclear.video.salvage import in_order
from rainclear.video.source import open_source

__all__ = ["VideoReader"]

# Frame threads each hold a frame, and more than eight gain nothing at 1080p.
MAX_THREADS = 8


class VideoReader:
    """A video as an iterator of frames; a context manager; one pass.

    Frames come in display order with the pts and time base of the file, without gaps filled or
    doubles dropped. Pixels are as stored; the rotation for display is in ``Frame.rotation``.
    Parts of an MP4 that its edit list hides are not shown by players and not delivered here.
    Work is done in the thread that iterates and in FFmpeg's own decoder threads.

    Where the size changes on the way, as in recordings of broadcasts, later frames are scaled to
    that of the first.

    Damage never raises once a first frame was decoded: what decodes is delivered, and ``report``
    says what is missing.

    Example:
        >>> with VideoReader("drive.mp4") as reader:
        ...     for frame in reader:
        ...         print(frame.time, frame.pixels.shape)

    Args:
        path: The file.
        threads: Decoder threads; 0 takes one a core, up to eight.
        stream: Index of the video among all streams of the file; ``None`` for the main one.
        part: The frames to deliver, if not all; ``Frame.index`` counts from the first of them.
        since: A frame of an earlier pass over the same part: it is the first one delivered.

    Attributes:
        info: What the file says about itself; ``frames`` is the number in the part.
        cut: Where the part lies, ``None`` if it is the whole video; its end may become known with
            the last frame.

    Raises:
        InputError: The file is missing, no video, has no such stream, no frame of it decodes, or
            none lies in the part.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int = 0,
        stream: int | None = None,
        part: Part | None = None,
        since: Position | None = None,
    ) -> None:
        self._path = Path(path)
        self._part, self._since = part or Part(), since
        self.cut: Cut | None = None if self._part.whole else Cut()
        self._origin: int | None = None
        whole: VideoInfo | None = None
        if since is not None or self._part.start:
            with VideoReader(path, threads=1, stream=stream) as beginning:
                whole, self._origin = beginning.info, beginning._origin
        container, video = open_source(path, stream=stream)
        self._container: InputContainer | None = container
        self._tally = tally = Tally()
        self._to_rgb = FrameToRGB()
        self._colors: dict[ColorDescription, ColorDescription] = {}
        self._decoded = decode(self._path, container, video, tally, pts=self._first_needed(whole))
        self._ordered = in_order(self._decoded, lambda: tally.corrupt_packets > 0)
        self._pending: Iterator[av.VideoFrame] = self._ordered
        try:
            video.thread_type = "AUTO"
            video.thread_count = threads or min(os.cpu_count() or 1, MAX_THREADS)
            first = next(self._ordered, None)
            if first is None:
                raise InputError(_nothing(self._path, container, tally))
            if whole is None:
                whole, self._origin = describe(self._path, container, video, first), first.pts
            self.info: VideoInfo = whole
            if not self._part.whole or since is not None:
                self._choose(chain([first], self._ordered))
                return
        except BaseException:
            self.close()
            raise
        self._pending = chain([first], self._ordered)

    @property
    def report(self) -> ReadReport:
        """Counts up to now; complete once the iteration has ended."""
        return self._tally.report()

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames that were not delivered yet."""
        for decoded in self._pending:
            frame = self._frame(decoded)
            self._tally.frames += 1
            self._tally.damaged_frames += decoded.is_corrupt
            yield frame

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        self._pending = iter(())
        self._ordered.close()
        self._decoded.close()
        self._to_rgb.close()
        if self._container is not None:
            self._container.close()
            # The decoder's threads and memory go with the last that knows of it.
            self._container = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first_needed(self, whole: VideoInfo | None) -> int | None:
        """Stamp of the first frame that matters; ``None`` if it is the first or has no stamp."""
        if self._since is not None:
            return self._since.pts
        if whole is None or self._origin is None:
            return None
        return self._origin + math.ceil(self._part.start / whole.time_base)

    def _choose(self, decoded: Iterable[av.VideoFrame]) -> None:
        """Keep the frames of the part alone, and find out where it lies."""
        part, base = self._part, self.info.time_base
        expected = part.expected(self.info.frames, self.info.rate)
        chosen = self._chosen(decoded)
        first = next(chosen, None)
        if first is None:
            raise InputError(
                f"{self._path}: has no frame from {float(part.start):g} s on"
                + ("" if part.end is None else f" and before {float(part.end):g} s")
                + "; a shorter video, or another start, was meant"
            )
        if self.cut is not None:
            if self._since is None and part.start and first.pts is not None:
                self.cut.begin = first.pts * base
            begin = Fraction(0) if first.pts is None else first.pts * base
            if part.end is not None:
                self.cut.end = (self._origin or 0) * base + part.end
            if expected is not None and self.info.rate:
                self.cut.expected_end = begin + expected / self.info.rate
        self.info = replace(self.info, frames=expected)
        self._pending = chain([first], chosen)

    def _chosen(self, decoded: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        part, base, since = self._part, self.info.time_base, self._since
        period = 1 / self.info.rate if self.info.rate else Fraction(1, 25)
        self._tally.frames = since.index if since else 0
        chosen = self._tally.frames
        at = -period
        for frame in decoded:
            pts = frame.pts if self._origin is not None else None
            # A frame without a stamp follows the one before by one period.
            at = at + period if pts is None else (pts - (self._origin or 0)) * base
            if at < part.start or (since and pts is not None and pts < since.pts):
                continue
            if (part.end is not None and at >= part.end) or chosen == part.frames:
                if self.cut is not None and pts is not None:
                    end = self.cut.end
                    self.cut.end = pts * base if end is None else min(end, pts * base)
                return
            chosen += 1
            yield frame

    def _frame(self, decoded: av.VideoFrame) -> Frame:
        color = color_of(decoded)
        color = self._colors.setdefault(color, color)
        size = (self.info.width, self.info.height)
        self._tally.scaled_frames += (decoded.width, decoded.height) != size
        return Frame(
            pixels=self._to_rgb(decoded, color, size=size),
            pts=decoded.pts,
            time_base=self.info.time_base,
            duration=decoded.duration,
            index=self._tally.frames,
            rotation=self.info.rotation,
            color=color,
        )


def _nothing(path: Path, container: InputContainer, tally: Tally) -> str:
    if tally.packets and not tally.key_seen:
        return f"{path}: no frame could be decoded: no key frame is there, or whole"
    if tally.packets:
        return f"{path}: no frame could be decoded: the video is damaged"
    return f"{path}: the video has no frames"
