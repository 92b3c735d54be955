"""Which matrix and range the numbers of a video mean, in the terms that swscale understands."""

from functools import lru_cache

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from rainclear.errors import InputError
from rainclear.frame import UNSPECIFIED, ColorDescription

__all__ = [
    "bit_depth",
    "chroma_shift",
    "guessed_matrix",
    "interpolation_for",
    "is_rgb",
    "limited_name",
    "range_of",
    "swscale_matrix",
]

RGB_MATRIX = 0
BT709 = 1
BT601 = 6
HD_HEIGHT = 720
LIMITED, FULL = 1, 2

_SWSCALE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    # Constant luminance differs from 9 only through the transfer function, which swscale ignores.
    10: Colorspace.BT2020,
}


@lru_cache(maxsize=64)
def _format(name: str) -> av.VideoFormat:
    # 64x64 gives chroma_width something to divide.
    return av.VideoFormat(name, 64, 64)


def is_rgb(pixel_format: str) -> bool:
    """Whether a pixel format stores RGB, or a palette of RGB, instead of luma and chroma."""
    described = _format(pixel_format)
    return described.is_rgb or described.has_palette or described.is_bayer


def bit_depth(pixel_format: str) -> int:
    """Bits of the deepest sample of a pixel format: 8 for "yuv420p", 10 for "yuv420p10le"."""
    if _format(pixel_format).has_palette:
        return 8
    return max(8, *(part.bits for part in _format(pixel_format).components))


def chroma_shift(pixel_format: str) -> tuple[int, int]:
    """Halvings of the chroma planes across and down: (1, 1) for 4:2:0, (1, 0) for 4:2:2."""
    described = _format(pixel_format)
    if is_rgb(pixel_format) or len(described.components) < 3:
        return (1, 1)
    across, down = 64 // described.chroma_width(64), 64 // described.chroma_height(64)
    return (across.bit_length() - 1, down.bit_length() - 1)


def limited_name(pixel_format: str) -> str:
    """The name without FFmpeg's old "j" for full range: "yuvj420p" becomes "yuv420p"."""
    return pixel_format.replace("yuvj", "yuv", 1)


def guessed_matrix(height: int) -> int:
    """Matrix that players assume when a file names none: bt601 below 720 lines, else bt709."""
    return BT709 if height >= HD_HEIGHT else BT601


def swscale_matrix(color: ColorDescription, height: int) -> Colorspace:
    """Matrix for swscale.

    Args:
        color: Description of the video.
        height: Lines of the picture, which decide where the file names no matrix.

    Raises:
        InputError: The matrix is one that swscale cannot compute (YCgCo, ICtCp, ...).
    """
    code = color.matrix
    if code in (UNSPECIFIED, RGB_MATRIX, 3) or is_rgb(color.pixel_format):
        code = guessed_matrix(height)
    try:
        return _SWSCALE[code]
    except KeyError:
        raise InputError(
            f"colour matrix {code} (ITU-T H.273) is not supported; "
            "convert the video to bt709 or bt2020 first"
        ) from None


def range_of(color: ColorDescription) -> ColorRange:
    """Range for swscale; a file that names none is limited, unless it is RGB or "yuvj"."""
    if is_rgb(color.pixel_format) or "yuvj" in color.pixel_format:
        return ColorRange.JPEG
    return ColorRange.JPEG if color.range == FULL else ColorRange.MPEG


def interpolation_for(*pixel_formats: str) -> Interpolation:
    """Flags for swscale that make conversions unbiased.

    Without them the fast 8-bit path darkens the picture by about one level each generation. More
    than 8 bits need bicubic chroma: bilinear with full chroma gives garbage in 4:2:0.
    """
    accurate = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    deep = any(bit_depth(name) > 8 for name in pixel_formats)
    return accurate | (Interpolation.BICUBIC if deep else Interpolation.BILINEAR)
