"""What a video file says about itself."""

import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from rainclear.frame import ColorDescription
from rainclear.video.colour import bit_depth

__all__ = ["FieldOrder", "VideoInfo", "color_of", "describe", "probe", "right_angle"]

FieldOrder = Literal["top first", "bottom first"]

# AV_FIELD_BB and AV_FIELD_TB, whatever order they are coded in.
_BOTTOM_FIRST = (3, 4)
_UNKNOWN = ColorDescription()


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """The main video of a file.

    Attributes:
        path: The file.
        width: Pixels across, as stored (before rotation).
        height: Lines, as stored.
        time_base: Seconds a unit of pts.
        rate: Average frames a second, ``None`` if unknown.
        frames: Number of frames, an estimate where the file holds no count; ``None`` if unknown.
        duration: Seconds, ``None`` if unknown.
        codec: FFmpeg name of the codec ("h264").
        container: FFmpeg name of the container format ("mov,mp4,m4a,3gp,3g2,mj2").
        color: Matrix, range, primaries, transfer and pixel format.
        bit_depth: Bits a sample.
        rotation: Degrees counter-clockwise by which players turn the picture: 0, 90, 180, 270.
        display_matrix: The nine numbers behind ``rotation``, as FFmpeg stores them, if any.
        sample_aspect_ratio: Width to height of one pixel, ``None`` if not said.
        field_order: Which field of an interlaced video is earlier, ``None`` if it has no fields.
        has_audio: Whether there is a sound track.
        stream: Index of the video among all streams of the file; ``None`` for the main one.
    """

    path: Path
    width: int
    height: int
    time_base: Fraction
    rate: Fraction | None = None
    frames: int | None = None
    duration: float | None = None
    codec: str = ""
    container: str = ""
    color: ColorDescription = _UNKNOWN
    bit_depth: int = 8
    rotation: int = 0
    display_matrix: tuple[int, ...] | None = None
    sample_aspect_ratio: Fraction | None = None
    field_order: FieldOrder | None = None
    has_audio: bool = False
    stream: int | None = None

    @property
    def pixel_format(self) -> str:
        """FFmpeg name of the pixel format."""
        return self.color.pixel_format


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Describe the main video of a file; its first frame is decoded, the rest is not read.

    Raises:
        InputError: The file is missing, a directory, unreadable, or holds no decodable video.
    """
    # Imported here, as the reader itself is built on describe().
    from rainclear.video.read import VideoReader

    with VideoReader(path, threads=1) as reader:
        return reader.info


def describe(
    path: Path, container: InputContainer, stream: VideoStream, frame: av.VideoFrame
) -> VideoInfo:
    """Describe an open video by its headers and its first frame."""
    rate = stream.average_rate or stream.guessed_rate
    assert stream.time_base is not None
    duration = None
    if stream.duration is not None:
        duration = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration = container.duration / av.time_base
    count = stream.frames or (round(duration * rate) if duration and rate else None)
    return VideoInfo(
        path=path,
        width=frame.width,
        height=frame.height,
        time_base=stream.time_base,
        rate=rate,
        frames=count,
        duration=duration,
        codec=stream.codec_context.name,
        container=container.format.name,
        color=color_of(frame),
        bit_depth=bit_depth(frame.format.name),
        rotation=right_angle(frame.rotation),
        display_matrix=_display_matrix(frame),
        sample_aspect_ratio=stream.sample_aspect_ratio,
        field_order=_field_order(stream, frame),
        has_audio=bool(container.streams.audio),
        stream=stream.index,
    )


def color_of(frame: av.VideoFrame) -> ColorDescription:
    """Colour description of a decoded frame; decoders fill in what only the container says."""
    return ColorDescription(
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        range=int(frame.color_range),
        pixel_format=frame.format.name,
    )


def right_angle(degrees: float) -> int:
    """The nearest of 0, 90, 180 and 270 degrees counter-clockwise."""
    return round(degrees / 90) * 90 % 360


def _field_order(stream: VideoStream, frame: av.VideoFrame) -> FieldOrder | None:
    if not frame.interlaced_frame:
        return None
    context: Any = stream.codec_context
    return "bottom first" if int(context.field_order) in _BOTTOM_FIRST else "top first"


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    sides: Any = frame.side_data
    data = sides.get(Type.DISPLAYMATRIX)
    return None if data is None else struct.unpack("=9i", bytes(data))
