"""Animated WebP, which FFmpeg cannot decode: OpenCV does, and the rest of the way it is a video."""

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from rainclear.errors import InputError

__all__ = ["animation_as_video", "is_animated_webp"]

_MILLI = Fraction(1, 1000)
_ANIMATED = 0x02
# As browsers do where a file says nothing.
_UNSAID = 100
# Frames that are decoded at once; each round begins at the start of the file.
_ROUND = 64


def is_animated_webp(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there whose name ends in .webp and whose head says that it moves."""
    path = Path(path)
    if path.suffix.lower() != ".webp":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & _ANIMATED)


def animation_as_video(path: str | os.PathLike[str]) -> io.BytesIO:
    """The same pictures as a lossless video (FFV1 in Matroska) in memory.

    Time stamps are the sums of the durations, in milliseconds, as WebP counts; a frame without a
    duration is shown for 100 ms, as in browsers. Transparency is dropped.

    Raises:
        InputError: It is damaged, or this build of OpenCV cannot decode it.
    """
    path = Path(path)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("ffv1", rate=1000, time_base=_MILLI)
        stream.pix_fmt, stream.time_base = "bgr0", _MILLI
        durations: dict[int, int] = {}
        pts = 0
        for pixels, duration in _frames(path):
            if not durations:
                stream.height, stream.width = pixels.shape[:2]
            bgr0 = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2BGRA)
            frame = av.VideoFrame.from_ndarray(bgr0, "bgra").reformat(format="bgr0")
            frame.pts, frame.time_base = pts, _MILLI
            durations[pts] = duration
            _mux(out, stream.encode(frame), durations)
            pts += duration
        _mux(out, stream.encode(None), durations)
    file.seek(0)
    return file


def _mux(out: Any, packets: "list[av.Packet[Any]]", durations: dict[int, int]) -> None:
    for packet in packets:
        if packet.pts is not None:
            packet.duration = durations[packet.pts]
        out.mux(packet)


def _frames(path: Path) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    """Pictures, H×W×3 or 4 in BGR order, with their durations in milliseconds."""
    decode = getattr(cv2, "imdecodeanimation", None)
    if decode is None:
        raise InputError(
            f"{path}: animated WebP needs OpenCV 4.11 or newer: pip install -U opencv-python"
        )
    data, start = np.fromfile(path, np.uint8), 0
    while True:
        try:
            done, animation = decode(data, start, _ROUND)
        except cv2.error as error:
            raise InputError(f"{path}: cannot be decoded: {error.err}") from error
        frames = animation.frames if done else ()
        if not frames and not start:
            raise InputError(f"{path}: not a picture, or damaged")
        for pixels, duration in zip(frames, animation.durations, strict=False):
            yield pixels, int(duration) or _UNSAID
        start += len(frames)
        if len(frames) < _ROUND:
            return
