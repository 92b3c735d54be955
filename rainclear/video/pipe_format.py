"""What goes through a pipe: size, rate and pixels, as Y4M's first line or the caller says."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from rainclear.errors import InputError, OutputError
from rainclear.frame import ColorDescription
from rainclear.video.colour import FULL, LIMITED, limited_name

__all__ = ["SAMPLE_BYTES", "PipeFormat", "parse_y4m"]

_LARGEST_SIDE = 32768
_CHROMA = {
    "420": "yuv420p",
    "420jpeg": "yuv420p",
    "420mpeg2": "yuv420p",
    "420paldv": "yuv420p",
    "411": "yuv411p",
    "422": "yuv422p",
    "444": "yuv444p",
    "mono": "gray",
    "mono10": "gray10le",
    "mono12": "gray12le",
    "mono16": "gray16le",
} | {f"{c}p{bits}": f"yuv{c}p{bits}le" for c in ("420", "422", "444") for bits in (9, 10, 12, 16)}
_TAGS = {name: tag for tag, name in reversed(_CHROMA.items())} | {"yuv420p": "420jpeg"}
SAMPLE_BYTES = {"rgb24": 3, "bgr24": 3}
"""Bytes of a pixel in packed formats; others have their samples in planes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PipeFormat:
    """What goes through a pipe.

    Attributes:
        width: Pixels across.
        height: Lines.
        pixel_format: FFmpeg name: planar YUV or grey of 8 to 16 bits, ``rgb24`` or ``bgr24``.
        rate: Frames a second.
        full_range: Whether samples run over 0..255 and not 16..235 (ignored for RGB).
        interlace: Y4M's letter: ``p`` for progressive, ``t``, ``b`` or ``m``; ``?`` if unknown.
        aspect: Width to height of one pixel, ``None`` if not said.
        chroma: Y4M's own name of the format, kept for the output where it is more exact.
    """

    width: int
    height: int
    pixel_format: str = "yuv420p"
    rate: Fraction = Fraction(25)
    full_range: bool = False
    interlace: str = "p"
    aspect: Fraction | None = None
    chroma: str | None = None

    def __post_init__(self) -> None:
        if not (0 < self.width <= _LARGEST_SIDE and 0 < self.height <= _LARGEST_SIDE):
            raise InputError(f"a pipe of {self.width}x{self.height} pixels is not supported")
        if self.rate <= 0:
            raise InputError(f"a pipe needs a rate above 0 frames a second, not {self.rate}")
        if self.pixel_format not in _TAGS and self.pixel_format not in SAMPLE_BYTES:
            known = ", ".join(sorted({*_TAGS, *SAMPLE_BYTES}))
            raise InputError(f"pixel format {self.pixel_format!r} is not supported; use: {known}")

    @classmethod
    def from_raw(cls, text: str) -> Self:
        """Parse ``WIDTHxHEIGHT[@RATE][:PIXELS]``, such as ``1280x720@30:rgb24``.

        Raises:
            InputError: It does not look like that.
        """
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})(?:@(\d{1,6}(?:[./]\d{1,6})?))?(?::(\w+))?", text)
        if match is None:
            raise InputError(
                f"{text!r}: give raw pipes as WIDTHxHEIGHT@RATE:PIXELS, such as 1280x720@30:rgb24"
            )
        width, height, rate, pixels = match.groups()
        try:
            value = Fraction(rate or 25)
        except ZeroDivisionError:
            raise InputError(f"{text!r}: the rate divides by zero") from None
        return cls(width=int(width), height=int(height), rate=value, pixel_format=pixels or "rgb24")

    @property
    def color(self) -> ColorDescription:
        """Colour description of the frames; pipes name no matrix, so it follows the height."""
        if self.pixel_format in SAMPLE_BYTES:
            return ColorDescription(matrix=0, range=FULL, pixel_format=self.pixel_format)
        return ColorDescription(
            range=FULL if self.full_range else LIMITED, pixel_format=self.pixel_format
        )

    @property
    def header(self) -> bytes:
        """The first line of Y4M.

        Raises:
            OutputError: Y4M knows no such pixel format.
        """
        if self.pixel_format not in _TAGS:
            raise OutputError(f"Y4M cannot carry {self.pixel_format}; use a raw pipe for it")
        tag = self.chroma or _TAGS[self.pixel_format]
        aspect = self.aspect or Fraction(0)
        ratio = f"{aspect.numerator}:{aspect.denominator}" if aspect else "0:0"
        span = "FULL" if self.full_range else "LIMITED"
        return (
            f"YUV4MPEG2 W{self.width} H{self.height} F{self.rate.numerator}:"
            f"{self.rate.denominator} I{self.interlace} A{ratio} C{tag} XCOLORRANGE={span}\n"
        ).encode("ascii")


def parse_y4m(line: bytes, name: str) -> PipeFormat:
    """The format in the first line of a Y4M stream.

    Args:
        line: The line without its end.
        name: The pipe's, for messages.

    Raises:
        InputError: It is damaged, or of a kind that is not supported.
    """
    fields: dict[str, str] = {}
    full = False
    for word in line.decode("ascii", "replace").split(" ")[1:]:
        if word.startswith("XCOLORRANGE="):
            full = word.endswith("=FULL")
        elif word and word[0] != "X":
            fields[word[0]] = word[1:]
    tag = fields.get("C", "420jpeg")
    if tag not in _CHROMA:
        raise InputError(f"{name}: Y4M of kind C{tag} is not supported; add -pix_fmt yuv420p")
    try:
        return PipeFormat(
            width=int(fields["W"]),
            height=int(fields["H"]),
            pixel_format=limited_name(_CHROMA[tag]),
            rate=_ratio(fields.get("F", "25:1")) or Fraction(25),
            full_range=full,
            interlace=fields.get("I", "?")[:1] or "?",
            aspect=_ratio(fields.get("A", "0:0")),
            chroma=tag,
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"{name}: the first line of Y4M is damaged: {line[:80]!r}") from error


def _ratio(text: str) -> Fraction | None:
    over, under = (int(part) for part in text.split(":"))
    return Fraction(over, under) if over > 0 and under > 0 else None
