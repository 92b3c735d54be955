"""Reads a video as RGB frames, each once, with its own time stamp."""

import os
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from rainclear.errors import InputError
from rainclear.frame import ColorDescription, Frame
from rainclear.video.convert import FrameToRGB
from rainclear.video.probe import VideoInfo, color_of, describe
from rainclear.video.report import ReadReport, Tally, ends_are_known
from rainclear.video.salvage import frames_after, in_order
from rainclear.video.source import open_source, packets_of

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

    Attributes:
        info: What the file says about itself.

    Raises:
        InputError: The file is missing, no video, or no frame of it decodes.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 0) -> None:
        self._path = Path(path)
        container, stream = open_source(path)
        self._container: InputContainer | None = container
        self._tally = tally = Tally()
        self._to_rgb = FrameToRGB()
        self._colors: dict[ColorDescription, ColorDescription] = {}
        self._decoded = _decode(self._path, container, stream, tally)
        self._ordered = in_order(self._decoded, lambda: tally.corrupt_packets > 0)
        self._pending: Iterator[av.VideoFrame] = self._ordered
        try:
            stream.thread_type = "AUTO"
            stream.thread_count = threads or min(os.cpu_count() or 1, MAX_THREADS)
            first = next(self._ordered, None)
            if first is None:
                raise InputError(_nothing(self._path, container, tally))
            self.info: VideoInfo = describe(self._path, container, stream, first)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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


def _decode(
    path: Path, container: InputContainer, stream: VideoStream, tally: Tally
) -> Generator[av.VideoFrame, None, None]:
    if not ends_are_known(container):
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
    packets = packets_of(container)
    last: int | None = None
    owed = 0  # packets that were taken without a frame or an error to show for it
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            tally.error = error.strerror or str(error)
            packet = None
        if packet is not None:
            is_video = packet.stream_index == stream.index
            if packet.size:
                tally.saw(packet, video=is_video)
            if not (packet.size and is_video):
                continue
            if packet.is_corrupt and not container.format.name.startswith("mpeg"):
                # Only a part of it is in the file; a transport stream may still be usable.
                tally.corrupt_packets += 1
                continue
        try:
            # None flushes: the frames that the decoder still holds come out.
            frames = stream.decode(packet)
        except av.FFmpegError:
            # Damage met while flushing is counted below.
            tally.corrupt_packets += packet is not None
            frames = []
        else:
            owed += packet is not None and not packet.is_discard
        for frame in frames:
            owed -= 1
            last = frame.pts
            yield frame
        if packet is None:
            break
    if owed > 0 and last is not None:
        owed += tally.corrupt_packets
        for frame in frames_after(path, last, tally):
            owed -= 1
            yield frame
        owed -= tally.corrupt_packets
    # Decoders drop some pictures without a word once their references are gone.
    tally.owes(owed)
    tally.finish(container, stream)


def _nothing(path: Path, container: InputContainer, tally: Tally) -> str:
    if container.format.name == "webp_pipe":
        return f"{path}: this build of FFmpeg cannot decode animated WebP; make it a GIF"
    if tally.packets and not tally.key_seen:
        return f"{path}: no frame could be decoded: no key frame is there, or whole"
    if tally.packets:
        return f"{path}: no frame could be decoded: the video is damaged"
    return f"{path}: the video has no frames"
