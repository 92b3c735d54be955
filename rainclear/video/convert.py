"""Pictures between FFmpeg's pixel formats and RGB arrays, with the matrix and range said aloud.

swscale computes, by its accurate path, and OpenCV joins or splits the three colours: that path has
vector code for planar RGB alone, where it gives the same numbers in half the processor time.
"""

from typing import TYPE_CHECKING, Any, Literal

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from rainclear.frame import ColorDescription
from rainclear.video.colour import (
    bit_depth,
    chroma_shift,
    interpolation_for,
    is_rgb,
    range_of,
    swscale_matrix,
)
from rainclear.video.planes import BY_16_BITS, colours, full_range, left_sited, planar_rgb

if TYPE_CHECKING:
    from rainclear.frame import RGBArray

__all__ = ["FrameToRGB", "RGBToFrame"]


class FrameToRGB:
    """Turns decoded frames into RGB arrays; keep one for each video, it reuses its tables."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(
        self,
        frame: av.VideoFrame,
        color: ColorDescription,
        *,
        size: tuple[int, int] | None = None,
    ) -> "RGBArray":
        """Convert one frame.

        Chroma is interpolated from where the frame says that its samples lie: between the columns
        of a pair if it says nothing.

        Args:
            frame: Decoded frame of any pixel format.
            color: What its numbers mean.
            size: Width and height to scale to; ``None`` for the frame's own.

        Returns:
            H×W×3, uint8 for 8-bit formats, else uint16 over 0..65535; C-contiguous and writable.
        """
        name = frame.format.name
        deep, packed = bit_depth(name) > 8, is_rgb(name)
        target = ("rgb48le" if deep else "rgb24") if packed else planar_rgb(deep=deep)
        matrix = swscale_matrix(color, frame.height)
        width, height = size or (frame.width, frame.height)
        rgb = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=target,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=range_of(color),
            dst_color_range=ColorRange.JPEG,
            interpolation=interpolation_for(name),
        )
        if not packed:
            return cv2.merge(colours(rgb))
        pixels: Any = rgb.to_ndarray()
        # An RGB source comes back as itself, and the decoder may still predict from it.
        return pixels.copy() if rgb is frame else np.ascontiguousarray(pixels)

    def close(self) -> None:
        """End FFmpeg's threads, which otherwise live as long as the converter does."""
        self._reformatter = VideoReformatter()


class RGBToFrame:
    """Turns RGB arrays of one size into frames of one pixel format for an encoder.

    Args:
        width: Pixels across.
        height: Lines.
        pixel_format: FFmpeg name of the format that the encoder takes.
        color: What the numbers shall mean; also written on each frame.
        source_height: Lines that decide an unnamed matrix; those of the source.
        siting: Where samples of chroma lie that two columns share: "left" on the first, as in
            H.264, HEVC, MPEG-2 and MPEG-4 unless the file says otherwise, or "centre" between
            them, as in JPEG. Chroma moves by half a pixel where the reader thinks otherwise.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        pixel_format: str,
        color: ColorDescription,
        source_height: int | None = None,
        siting: Literal["left", "centre"] = "centre",
    ) -> None:
        self._size = (width, height)
        self._pixel_format = pixel_format
        self._color = color
        self._matrix = swscale_matrix(color, source_height or height)
        self._range = range_of(color)
        self._reformatter = VideoReformatter()
        shared = not is_rgb(pixel_format) and chroma_shift(pixel_format)[0] > 0
        self._left = siting == "left" and shared
        # What swscale makes: the pixel format, or what becomes it afterwards.
        self._made = pixel_format
        if self._range == ColorRange.JPEG:
            self._made = BY_16_BITS.get(pixel_format, pixel_format)
        self._staging: dict[str, av.VideoFrame] = {}

    def __call__(self, pixels: "RGBArray | np.ndarray[Any, Any]") -> av.VideoFrame:
        """Convert one picture.

        Args:
            pixels: H×W×3, uint8 or uint16 (0..65535), of any strides.

        Raises:
            ValueError: Shape or dtype is another.
        """
        width, height = self._size
        if pixels.shape != (height, width, 3) or pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"a picture of {height}x{width}x3 uint8 or uint16 is needed (height first), "
                f"not {'x'.join(map(str, pixels.shape))} {pixels.dtype}"
            )
        name = planar_rgb(deep=pixels.dtype == np.uint16)
        # Copied, as swscale wants aligned rows and the caller may change the array afterwards.
        if name not in self._staging:
            staged = av.VideoFrame(width, height, name)
            self._staging[name] = left_sited(staged) if self._left else staged
        staged = self._staging[name]
        cv2.split(pixels, colours(staged))
        flags = interpolation_for(name, self._pixel_format)
        if self._left:
            # Without it swscale first averages the two columns, and so blurs more.
            flags |= Interpolation.FULL_CHR_H_INP
        frame = self._reformatter.reformat(
            staged,
            format=self._made,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range if self._made == self._pixel_format else ColorRange.MPEG,
            interpolation=flags,
        )
        if self._made != self._pixel_format:
            frame = full_range(frame, self._pixel_format)
        if frame is staged:
            del self._staging[name]
        frame.colorspace = self._color.matrix
        frame.color_range = self._color.range
        frame.color_primaries = self._color.primaries
        frame.color_trc = self._color.transfer
        return frame

    def close(self) -> None:
        """End FFmpeg's threads, which otherwise live as long as the converter does."""
        self._reformatter = VideoReformatter()
