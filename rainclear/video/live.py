"""Sources that come as they happen: cameras, network streams, picture sequences.

Each *capture* is one connection: an iterator of frames in the thread that iterates. Connecting
again, time-outs of a source that is stuck, and what happens to frames that nobody fetches in time
are the business of :class:`rainclear.runtime.feed.LiveFeed`.
"""

import glob
import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2

from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.video.convert import FrameToRGB
from rainclear.video.hardware import hardware_decoder
from rainclear.video.image import is_image, read_image
from rainclear.video.probe import color_of, right_angle
from rainclear.video.source import packets_of

__all__ = ["CameraCapture", "Capture", "SequenceCapture", "UrlCapture", "is_live", "open_capture"]

_URL = re.compile(r"(rtsps?|rtmps?|srt|udp|rtp|tcp|https?):/{1,2}(?=[^/])", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video\d+|\d{1,2}")
_PATTERN = re.compile(r"%0?\d*d|[*?]")
_MICRO = Fraction(1, 1_000_000)


class Capture(Protocol):
    """One connection to a source; iterate over it, once."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they come; end when the source does, or raise InputError."""
        ...

    def cancel(self) -> None:
        """Ask, from any thread, that the iteration end soon."""
        ...

    def close(self) -> None:
        """Give the device or connection back, in the thread that iterated."""
        ...


class CameraCapture:
    """A camera of this machine, through OpenCV.

    Frames get the time of their arrival as pts, in microseconds from the first one.

    Args:
        device: Its number, or its name such as ``/dev/video0``.

    Raises:
        InputError: There is none, or it is in use.
    """

    def __init__(self, device: int | str) -> None:
        self._device = device
        self._camera = cv2.VideoCapture(device)
        if not self._camera.isOpened():
            self._camera.release()
            raise InputError(f"camera {device}: there is none, or another program uses it")
        # Old pictures help nobody; drivers that do not know the setting ignore it.
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        rate = self._camera.get(cv2.CAP_PROP_FPS)
        self._duration = round(1e6 / rate) if 0 < rate < 1000 else 0
        self._cancelled = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the camera gives none."""
        start, index = None, 0
        while not self._cancelled:
            grabbed, bgr = self._camera.read()
            if not grabbed:
                raise InputError(f"camera {self._device}: gives no more pictures")
            now = time.monotonic_ns() // 1000
            start = now if start is None else start
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            yield Frame(
                pixels=rgb,
                pts=now - start,
                time_base=_MICRO,
                duration=self._duration,
                index=index,
            )
            index += 1

    def cancel(self) -> None:
        """End after the next frame."""
        self._cancelled = True

    def close(self) -> None:
        """Give the camera back."""
        self._camera.release()


class UrlCapture:
    """A network stream (RTSP, RTMP, SRT, HTTP, ...) through FFmpeg, with time-outs of its own.

    Args:
        url: Its address.
        timeout: Seconds for connecting, and for each read.
        hardware: Device that decodes, ``cuda:N``, if it can; see
            :func:`rainclear.video.hardware.hardware_decoder`.

    Raises:
        InputError: It cannot be reached or has no video.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, hardware: str | None = None) -> None:
        self._name = _without_password(url)
        options = {}
        if url.lower().startswith("rtsp"):
            # Over UDP, lost packets smear the picture.
            options["rtsp_transport"] = "tcp"
        try:
            self._container = av.open(
                url,
                "r",
                options=options,
                timeout=(timeout, timeout),
                hwaccel=hardware_decoder(hardware),
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{self._name}: cannot be opened: {_reason(error)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{self._name}: has no video")
        self._stream = self._container.streams.video[0]
        # Threads by frame would hold back one picture each.
        self._stream.thread_type = "SLICE"
        self._cancelled = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the stream ends; damaged packets are passed over."""
        to_rgb, index = FrameToRGB(), 0
        packets = packets_of(self._container, self._stream)
        while not self._cancelled:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                raise InputError(f"{self._name}: reading stopped: {_reason(error)}") from error
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                continue
            for picture in decoded:
                if not isinstance(picture, av.VideoFrame):
                    continue
                color = color_of(picture)
                yield Frame(
                    pixels=to_rgb(picture, color),
                    pts=picture.pts,
                    time_base=picture.time_base or _MICRO,
                    duration=picture.duration,
                    index=index,
                    rotation=right_angle(picture.rotation),
                    color=color,
                )
                index += 1

    def cancel(self) -> None:
        """End after the next packet, or when its time is up."""
        self._cancelled = True

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


class SequenceCapture:
    """Numbered pictures as a video.

    Args:
        pattern: ``frame_%04d.png``, with the numbers that are there in order, or ``shots/*.jpg``,
            in order of the names.
        rate: Frames a second.

    Raises:
        InputError: No picture fits the pattern.
    """

    def __init__(self, pattern: str, *, rate: Fraction = Fraction(25)) -> None:
        self._files, self._rate = _files(pattern), rate
        self._cancelled = False
        if not self._files:
            raise InputError(f"{pattern}: no picture fits this pattern")

    def __iter__(self) -> Iterator[Frame]:
        """Yield all pictures."""
        for index, path in enumerate(self._files):
            if self._cancelled:
                return
            picture = read_image(path)
            yield Frame(
                pixels=picture.pixels,
                pts=index,
                time_base=1 / self._rate,
                duration=1,
                index=index,
                color=picture.color,
            )

    def cancel(self) -> None:
        """End after the next picture."""
        self._cancelled = True

    def close(self) -> None:
        """Nothing to do."""


def is_live(source: str) -> bool:
    """Whether a name is that of a camera or a network stream, and not of a file that exists."""
    return bool(_URL.match(source) or _DEVICE.fullmatch(source)) and not (
        Path(source).is_file() or Path(source).is_dir()
    )


def open_capture(
    source: str,
    *,
    timeout: float = 5.0,
    rate: Fraction = Fraction(25),
    hardware: str | None = None,
) -> Capture:
    """Connect to a source by its name.

    Args:
        source: Number or ``/dev/video`` name of a camera, URL, or pattern of pictures.
        timeout: Seconds for connecting to a URL and for each read.
        rate: Frames a second of a picture sequence.
        hardware: Device that decodes a URL's stream, ``cuda:N``, if it can.

    Raises:
        InputError: It is none of these, or does not answer.
    """
    if is_live(source):
        if _DEVICE.fullmatch(source):
            return CameraCapture(int(source) if source.isdigit() else source)
        # A path keeps one slash of the two.
        url = _URL.sub(r"\1://", source, count=1)
        return UrlCapture(url, timeout=timeout, hardware=hardware)
    if _PATTERN.search(source):
        return SequenceCapture(source, rate=rate)
    raise InputError(
        f"{source}: neither a camera (0, /dev/video0), nor a URL (rtsp://...), "
        "nor a pattern of pictures (frame_%04d.png)"
    )


def _files(pattern: str) -> list[Path]:
    if "%" not in pattern:
        return [Path(name) for name in sorted(glob.glob(pattern)) if is_image(name)]
    path = Path(pattern)
    number = re.compile(r"%0?\d*d")
    literal = number.split(path.name, maxsplit=1)
    if len(literal) != 2:
        return []
    numbered = re.compile(rf"{re.escape(literal[0])}(\d+){re.escape(literal[1])}")
    found = []
    for file in path.parent.glob("*"):
        match = numbered.fullmatch(file.name)
        if match and is_image(file):
            found.append((int(match[1]), file))
    return [file for _, file in sorted(found)]


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
