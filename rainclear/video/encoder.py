"""Chooses pixel format and options for an encoder, and sets it up."""

import os
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import av
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.stream import VideoStream

from rainclear.errors import OutputError
from rainclear.frame import UNSPECIFIED, ColorDescription
from rainclear.video.colour import (
    FULL,
    LIMITED,
    bit_depth,
    chroma_shift,
    guessed_matrix,
    is_rgb,
    limited_name,
)
from rainclear.video.probe import FieldOrder, VideoInfo

__all__ = [
    "add_encoder",
    "choose_pixel_format",
    "chroma_siting",
    "encoder_options",
    "find_encoder",
    "keeps_fields",
    "output_color",
    "stamps_by_number",
]

# These refuse a 4:2:0 picture with an odd side; the others take any size.
_EVEN_CHROMA = ("libx264", "libx265", "nvenc", "qsv", "vaapi")
_LAYOUTS = {(1, 1): "yuv420p", (1, 0): "yuv422p", (0, 0): "yuv444p"}
_P010 = {"yuv420p": "p010le", "yuv422p": "p210le"}
# MPEG-4 part 2 counts time in at most this many units a second, and not in several seconds.
_MPEG4_UNITS = 65535


def find_encoder(name: str) -> av.codec.Codec:
    """Look up an encoder.

    Raises:
        OutputError: FFmpeg has no video encoder of that name.
    """
    try:
        codec = av.codec.Codec(name, "w")
    except UnknownCodecError:
        codec = None
    if codec is None or codec.type != "video":
        common = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "mpeg4")
        known = ", ".join(c for c in common if c in av.codecs_available)
        raise OutputError(f"no video encoder is called {name!r}; there are, among others: {known}")
    return codec


def choose_pixel_format(codec: av.codec.Codec, *, source: str, width: int, height: int) -> str:
    """The pixel format that loses least of the source among those that the encoder takes.

    Args:
        codec: The encoder.
        source: Pixel format of the input.
        width: Pixels across the output; an odd side needs unhalved chroma with some encoders.
        height: Lines of the output.

    Raises:
        OutputError: The encoder takes no suitable format.
    """
    taken = {f.name for f in codec.video_formats or ()}
    shift = chroma_shift(source)
    if is_rgb(source):
        # 4:4:4 plays in few places, so only a lossless archive keeps every sample of RGB.
        shift = (0, 0) if codec.name == "ffv1" else (1, 1)
    if shift not in _LAYOUTS:
        shift = (min(shift[0], 1), 0 if shift[1] == 0 or shift[0] == 0 else 1)
    layouts = [_LAYOUTS[shift]]
    layouts += [name for name in _LAYOUTS.values() if name not in layouts]
    if any(part in codec.name for part in _EVEN_CHROMA):
        if width % 2:
            layouts = ["yuv444p"]
        elif height % 2:
            layouts = [name for name in layouts if name != "yuv420p"]
    depth = bit_depth(source)
    suffixes = [""] if depth == 8 else [f"{depth}le", "10le", "12le", "16le", ""]
    for suffix in suffixes:
        for layout in layouts:
            for name in (layout + suffix, _P010.get(layout, "") if suffix == "10le" else ""):
                if name in taken:
                    return name
    raise OutputError(
        f"encoder {codec.name} takes no pixel format that suits {source} at {width}x{height}; "
        "choose another codec"
    )


def keeps_fields(codec: str, *, height: int) -> bool:
    """Whether an encoder can mark its output as interlaced; x264 needs whole pairs of lines."""
    return codec == "libx264" and height % 4 == 0


def encoder_options(
    codec: str,
    *,
    crf: float | None,
    preset: str | None,
    field_order: FieldOrder | None = None,
) -> dict[str, str]:
    """Quality, speed and fields in the words of each encoder; ``None`` leaves its own default."""
    options: dict[str, str] = {}
    if crf is not None and codec not in ("ffv1", "mpeg4"):
        options["cq" if "nvenc" in codec else "crf"] = f"{crf:g}"
    if preset is not None:
        options["cpu-used" if "vpx" in codec or "aom" in codec else "preset"] = preset
    if field_order and codec == "libx264":
        options["x264-params"] = "tff=1" if field_order == "top first" else "bff=1"
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    if codec == "libvpx-vp9":
        options["row-mt"] = "1"
        # The slowest setting is its default, at a frame a second for HD.
        options.setdefault("cpu-used", "4")
    if codec == "libsvtav1":
        # Speaks on stderr by itself; this is its only switch.
        os.environ.setdefault("SVT_LOG", "1")
    return options


def output_color(
    info: VideoInfo, *, codec: str, pixel_format: str, height: int
) -> ColorDescription:
    """Colour description of the output: that of the source where a YUV encoder can carry it."""
    source = info.color
    color = replace(source, pixel_format=pixel_format)
    if is_rgb(source.pixel_format) or source.matrix == 0:
        color = replace(color, matrix=guessed_matrix(height), range=LIMITED)
    elif source.matrix == UNSPECIFIED and guessed_matrix(info.height) != guessed_matrix(height):
        # Players would now guess another matrix than for the source.
        color = replace(color, matrix=guessed_matrix(info.height))
    if limited_name(source.pixel_format) != source.pixel_format:
        color = replace(color, range=FULL)
    if codec == "mpeg4":
        # Its bitstream names neither, so the pixels must be what players assume.
        color = replace(color, matrix=guessed_matrix(height), range=LIMITED)
    return color


def chroma_siting(codec: str) -> Literal["left", "centre"]:
    """Where readers take chroma to lie if the file does not say; FFmpeg takes the centre else."""
    left = ("264", "265", "hevc", "mpeg2", "mpeg4")
    return "left" if any(part in codec for part in left) else "centre"


def stamps_by_number(codec: str) -> bool:
    """Whether the encoder gets frame numbers for pts, as it knows no fine units and no pauses."""
    return codec == "mpeg4"


def add_encoder(
    container: OutputContainer,
    codec: av.codec.Codec,
    *,
    width: int,
    height: int,
    color: ColorDescription,
    rate: Fraction,
    time_base: Fraction,
    sample_aspect_ratio: Fraction | None,
    options: dict[str, str],
    crf: float | None,
    threads: int,
) -> VideoStream:
    """Add a video stream whose encoder is open, so that its complaints come at once."""
    clock = time_base
    if stamps_by_number(codec.name):
        clock = 1 / min(max(rate, Fraction(1)), Fraction(_MPEG4_UNITS)).limit_denominator(1000)
    stream = container.add_stream(codec.name, rate=rate, time_base=clock, options=options)
    assert isinstance(stream, VideoStream)
    stream.time_base = time_base
    context = stream.codec_context
    context.width, context.height = width, height
    context.pix_fmt = color.pixel_format
    context.colorspace, context.color_range = color.matrix, color.range
    context.color_primaries, context.color_trc = color.primaries, color.transfer
    if sample_aspect_ratio:
        context.sample_aspect_ratio = sample_aspect_ratio
    context.thread_count = threads
    # PyAV asks for slices, which cost x264 quality.
    context.thread_type = "AUTO"
    if codec.name == "mpeg4" and crf is not None:
        # Quantiser 3 looks about like crf 18.
        context.qscale = True
        context.global_quality = 118 * max(1, round(crf / 6))
    context.open()
    # What the encoder did not know stays in the options.
    unknown = set(options) & set(context.options)
    if unknown:
        raise OutputError(f"encoder {codec.name} does not know: {', '.join(sorted(unknown))}")
    return stream
