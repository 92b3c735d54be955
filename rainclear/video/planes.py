"""Planes of frames as arrays, and two things that FFmpeg's scaler leaves to be done with them."""

from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.filter import Graph

__all__ = ["BY_16_BITS", "colours", "full_range", "left_sited", "planar_rgb"]

# 8-bit formats and what the scaler shall make instead of them where full range is wanted.
BY_16_BITS = {
    f"{prefix}{layout}p": f"yuv{layout}p16le"
    for prefix in ("yuv", "yuvj")
    for layout in ("420", "422", "444")
}
# Black, and spans of luma and chroma, in code values of 16-bit limited range.
_BLACK, _NEUTRAL, _LUMA, _CHROMA = 16 << 8, 128 << 8, 219 << 8, 224 << 8


def planar_rgb(*, deep: bool) -> str:
    """Name of the format with a plane for each colour: of 16 bits a sample, or of 8."""
    return "gbrp16le" if deep else "gbrp"


def colours(frame: av.VideoFrame) -> "list[np.ndarray[Any, Any]]":
    """Red, green and blue of a frame of planar RGB as writable H×W views."""
    green, blue, red = _planes(frame, np.uint8 if frame.format.name == "gbrp" else np.uint16)
    return [red, green, blue]


def left_sited(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, marked so that chroma made of it lies on the left; PyAV has no other way."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    mark = graph.add("setparams", "chroma_location=left")
    graph.link_nodes(source, mark, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def full_range(frame: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """Full-range 8-bit YUV of 16-bit limited YUV, neutral at 128 as ITU-T H.273 has it.

    swscale puts it at 127.5 instead when it encodes, though not when it decodes, so that with it
    each generation is greener by about one level.
    """
    narrow = av.VideoFrame(frame.width, frame.height, pixel_format)
    pairs = zip(_planes(frame, np.uint16), _planes(narrow, np.uint8), strict=True)
    for number, (wide, out) in enumerate(pairs):
        scale = 255 / (_CHROMA if number else _LUMA)
        cv2.convertScaleAbs(wide, out, scale, 128 - _NEUTRAL * scale if number else -_BLACK * scale)
    return narrow


def _planes(frame: av.VideoFrame, kind: type[np.generic]) -> "list[np.ndarray[Any, Any]]":
    """Writable views without the padding at the ends of the rows."""
    item = np.dtype(kind).itemsize
    return [
        np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // item)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    ]
