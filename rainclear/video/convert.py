"""Pictures between FFmpeg's pixel formats and RGB arrays, with the matrix and range said aloud."""

from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from rainclear.frame import ColorDescription
from rainclear.video.colour import bit_depth, interpolation_for, range_of, swscale_matrix

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

        Args:
            frame: Decoded frame of any pixel format.
            color: What its numbers mean.
            size: Width and height to scale to; ``None`` for the frame's own.

        Returns:
            H×W×3, uint8 for 8-bit formats, else uint16 over 0..65535; C-contiguous and writable.
        """
        name = frame.format.name
        target = "rgb48le" if bit_depth(name) > 8 else "rgb24"
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
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        pixel_format: str,
        color: ColorDescription,
        source_height: int | None = None,
    ) -> None:
        self._size = (width, height)
        self._pixel_format = pixel_format
        self._color = color
        self._matrix = swscale_matrix(color, source_height or height)
        self._range = range_of(color)
        self._reformatter = VideoReformatter()
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
        name = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
        # Copied, as swscale wants aligned rows and the caller may change the array afterwards.
        if name not in self._staging:
            self._staging[name] = av.VideoFrame(width, height, name)
        staged = self._staging[name]
        staged.to_ndarray()[...] = pixels
        frame = self._reformatter.reformat(
            staged,
            format=self._pixel_format,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
            interpolation=interpolation_for(name, self._pixel_format),
        )
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
