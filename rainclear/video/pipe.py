"""Frames through pipes: Y4M (YUV4MPEG2) and raw planes, frame by frame, with the colours exact.

Y4M is parsed here and not by FFmpeg, which looks at several frames before it gives the first; from
a camera's pipe that is latency. A frame is delivered when its last byte is there.
"""

import os
import re
import select
import time
from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt

from rainclear.errors import InputError, OutputError
from rainclear.frame import Frame
from rainclear.video.convert import FrameToRGB, RGBToFrame
from rainclear.video.pipe_format import SAMPLE_BYTES, PipeFormat, parse_y4m

__all__ = ["PipeClosed", "PipeFormat", "PipeReader", "PipeWriter"]

_MAGIC = b"YUV4MPEG2"
_LONGEST_LINE = 1024
_POLL = 0.1


class PipeClosed(OutputError):
    """Whoever read the pipe has closed it, as a player does when its window is closed."""


class PipeReader:
    """Reads frames from a pipe; iterate over it, once.

    Args:
        stream: Binary stream. Of one with a file number only the number is used, so that every
            wait can end.
        raw: The format of raw frames; ``None`` reads Y4M, whose first line says it.
        name: For messages.
        timeout: Seconds without a byte after which the writer counts as dead.

    Attributes:
        format: What goes through the pipe; read from it on the first use.
        truncated: Whether the pipe ended inside a frame; that frame is not delivered.

    Raises:
        InputError: When read: not Y4M, a kind of it that is not supported, or no byte in time.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        raw: PipeFormat | None = None,
        name: str = "stdin",
        timeout: float = 60.0,
    ) -> None:
        self._stream, self.name, self._timeout = stream, name, timeout
        self._is_raw = raw is not None
        self._format = raw
        self._cancelled = False
        self.truncated = False
        try:
            self._file: int | None = stream.fileno()
        except (OSError, AttributeError):
            self._file = None

    @property
    def format(self) -> PipeFormat:
        """What goes through the pipe; waits for the first line of Y4M."""
        if self._format is None:
            self._format = parse_y4m(self._line(_MAGIC), self.name)
        return self._format

    def cancel(self) -> None:
        """Let a wait in another thread end soon, as if the pipe had."""
        self._cancelled = True

    def close(self) -> None:
        """Nothing to do: the stream is the caller's."""
        self.cancel()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames; pts count frames in units of one over the rate."""
        form = self.format
        if self._cancelled:
            return
        to_rgb, color, index = FrameToRGB(), form.color, 0
        while True:
            if not self._is_raw and not self._frame_line():
                return
            frame = av.VideoFrame(form.width, form.height, form.pixel_format)
            if not self._fill(frame, form.pixel_format, first=self._is_raw):
                return
            yield Frame(
                pixels=to_rgb(frame, color),
                pts=index,
                time_base=1 / form.rate,
                duration=1,
                index=index,
                color=color,
            )
            index += 1

    def _frame_line(self) -> bool:
        line = self._line(b"FRAME", may_end=True)
        if line and not re.match(rb"FRAME( |$)", line):
            raise InputError(f"{self.name}: a frame was expected, not {line[:40]!r}")
        return bool(line)

    def _fill(self, frame: av.VideoFrame, pixel_format: str, *, first: bool) -> bool:
        for rows in _planes(frame, pixel_format):
            data = self._read(rows.size)
            if len(data) < rows.size:
                # Between two raw frames is where a pipe may end.
                self.truncated |= not self._cancelled and (bool(data) or not first)
                return False
            rows[...] = np.frombuffer(data, np.uint8).reshape(rows.shape)
            first = False
        return True

    def _line(self, start: bytes, *, may_end: bool = False) -> bytes:
        """A line without its end; byte by byte, as what follows belongs to the frame."""
        line = bytearray()
        while len(line) < _LONGEST_LINE:
            byte = self._read(1)
            if not byte:
                if self._cancelled or (may_end and not line):
                    return b""
                if may_end:
                    self.truncated = True
                    return b""
                what = f"ends after {bytes(line)[:20]!r}" if line else "is empty"
                raise InputError(f"{self.name}: {what}; a Y4M stream was expected")
            if byte == b"\n":
                return bytes(line)
            line += byte
            if not start.startswith(line[: len(start)]):
                break
        raise InputError(
            f"{self.name}: not a Y4M stream (it begins with {bytes(line)[:20]!r}); "
            "write it with: ffmpeg -i INPUT -f yuv4mpegpipe -"
        )

    def _read(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end of the pipe."""
        parts, missing = [], size
        while missing and not self._cancelled:
            part = self._some(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        if self._file is None:
            return self._stream.read(size)
        end = time.monotonic() + self._timeout
        while not self._cancelled:
            if select.select([self._file], [], [], _POLL)[0]:
                return os.read(self._file, size)
            if time.monotonic() > end:
                raise InputError(f"{self.name}: no data for {self._timeout:g} seconds")
        return b""


class PipeWriter:
    """Writes frames to a pipe; the first line is written with the first frame.

    Args:
        stream: Binary stream; flushed after each frame.
        form: What goes through the pipe.
        y4m: Whether to write Y4M, else raw planes.
        name: For messages.

    Attributes:
        frames: Frames written.

    Raises:
        OutputError: Y4M cannot carry the pixel format.
    """

    def __init__(
        self, stream: BinaryIO, form: PipeFormat, *, y4m: bool = True, name: str = "stdout"
    ) -> None:
        self._stream, self.name, self._y4m = stream, name, y4m
        self._pending = form.header if y4m else b""
        self._form = form
        self._convert = RGBToFrame(
            width=form.width,
            height=form.height,
            pixel_format=form.pixel_format,
            color=form.color,
        )
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            PipeClosed: Nobody reads any more.
            OutputError: The frame has another size, or writing failed.
        """
        try:
            encoded = self._convert(np.asarray(frame.pixels))
        except ValueError as error:
            raise OutputError(f"{self.name}: frame {frame.index}: {error}") from error
        planes = [rows.tobytes() for rows in _planes(encoded, self._form.pixel_format)]
        try:
            self._stream.write(b"".join([self._pending, b"FRAME\n" * self._y4m, *planes]))
            self._stream.flush()
        except BrokenPipeError as error:
            raise PipeClosed(f"{self.name}: the reader has closed the pipe") from error
        except OSError as error:
            raise OutputError(f"{self.name}: cannot be written: {error.strerror}") from error
        self._pending = b""
        self.frames += 1


def _planes(frame: av.VideoFrame, pixel_format: str) -> "list[npt.NDArray[np.uint8]]":
    """Each plane as a writable view of its rows in bytes, without the padding at their ends."""
    size = SAMPLE_BYTES.get(pixel_format) or -(-frame.format.components[0].bits // 8)
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width * size
        ]
        for plane in frame.planes
    ]
