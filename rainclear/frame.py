"""The values that travel between stages: a picture with its time stamp and colour description."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    RGBArray: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

__all__ = ["UNSPECIFIED", "ColorDescription", "Frame"]

UNSPECIFIED = 2
"""The code point that ITU-T H.273 and FFmpeg use for "not said in the file"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorDescription:
    """How the numbers of a video mean colours: code points of ITU-T H.273, as FFmpeg uses them.

    Attributes:
        matrix: YUV matrix (1 = bt709, 5/6 = bt601, 9 = bt2020 non-constant luminance).
        primaries: Chromaticities of the primaries (1 = bt709, 9 = bt2020).
        transfer: Transfer function (1 = bt709, 16 = PQ, 18 = HLG).
        range: 0 = not said, 1 = limited (16..235), 2 = full (0..255): FFmpeg's numbering.
        pixel_format: FFmpeg name of the pixel format the pixels were decoded from ("yuv420p10le").
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    range: int = 0
    pixel_format: str = "yuv420p"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One picture of a video. Frames are never re-timed: pts out equals pts in.

    Attributes:
        pixels: H×W×3 RGB array, uint8, or uint16 over the full range 0..65535 when the source has
            more than 8 bits a sample; or a 3×H×W tensor on a device. As stored: *not* rotated.
        pts: Presentation time stamp in units of ``time_base``; ``None`` if the source has none.
        time_base: Seconds a pts unit.
        duration: Display duration in ``time_base`` units, 0 if unknown.
        index: Number of the frame in the stream, from 0.
        rotation: Degrees counter-clockwise by which a player turns the picture: 0, 90, 180, 270.
        color: Colour description of the source, kept for the output.
        metadata: Free notes of stages, such as the rain score.
    """

    pixels: Any
    pts: int | None = None
    time_base: Fraction = Fraction(1, 1000)
    duration: int = 0
    index: int = 0
    rotation: int = 0
    color: ColorDescription = ColorDescription()
    metadata: dict[str, Any] = field(default_factory=dict)

    def eight_bit(self) -> "npt.NDArray[np.uint8]":
        """The pixels as H×W×3 uint8; deeper ones lose their lower bits, uint8 is not copied."""
        pixels = self.pixels
        eight: npt.NDArray[np.uint8] = (
            (pixels >> 8).astype("uint8") if pixels.dtype.itemsize == 2 else pixels
        )
        return eight

    @property
    def time(self) -> float | None:
        """Presentation time in seconds, or ``None`` if the source has no time stamps."""
        return None if self.pts is None else float(self.pts * self.time_base)
