"""Quality against time, as an SVG file of its own."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from rainclear.evaluation.chart import COLOURS

__all__ = ["quality_plot"]

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 64, 56
_INK, _FAINT, _RED = "#2b3440", "#d9dee5", "#b3261e"
_CAMERA_MS = 40.0  # 25 frames a second
_DOT, _LETTER = 5.0, 7.0  # radius; width of a letter, about

Box = tuple[float, float, float, float]  # left, top, right, bottom


class _Canvas:
    """A plot over milliseconds (logarithmic) and decibels."""

    def __init__(self, times: list[float], gains: list[float]) -> None:
        self.first = math.floor(math.log10(min(times)))
        self.last = max(self.first + 1, math.ceil(math.log10(max(times))))
        self.low = min(0.0, math.floor(min(gains)))
        self.high = max(self.low + 1.0, math.ceil(max(gains)))
        self.taken: list[Box] = []  # where no name should stand
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
        ]

    def x(self, ms: float) -> float:
        share = (math.log10(ms) - self.first) / (self.last - self.first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, gain: float) -> float:
        share = (gain - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def text(self, x: float, y: float, text: str, anchor: str = "start", extra: str = "") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(text)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'
        )

    def axes(self) -> None:
        grid = f'stroke="{_FAINT}"'
        step = max(1, round((self.high - self.low) / 6))
        for gain in range(round(self.low), round(self.high) + 1, step):
            self.line(_LEFT, self.y(gain), _WIDTH - _RIGHT, self.y(gain), grid)
            self.text(_LEFT - 8, self.y(gain) + 4, f"{gain:d}", "end")
        for power in range(self.first, self.last + 1):
            x = self.x(10.0**power)
            self.line(x, _TOP, x, _HEIGHT - _BOTTOM, grid)
            self.text(x, _HEIGHT - _BOTTOM + 18, f"{10.0**power:g}", "middle")

    def mark(self, ms: float, text: str, height: float) -> None:
        """A dashed line at a time, with a word ``height`` above it."""
        x = self.x(ms)
        style = f'stroke="{_RED}" stroke-dasharray="5 4"'
        self.line(x, _TOP - height, x, _HEIGHT - _BOTTOM, style)
        self.taken.append((x - 1, _TOP - height, x + 1, _HEIGHT - _BOTTOM))
        left = x > _WIDTH / 2
        self.text(x + (-4 if left else 4), _TOP - height + 9, text, "end" if left else "start")

    def dots(self, dots: Sequence[tuple[float, float, str, str]]) -> None:
        """Dots (milliseconds, dB, colour, name), each name where no dot and no name is yet."""
        places = [(self.x(ms), self.y(gain)) for ms, gain, *_ in dots]
        self.taken += [(x - _DOT, y - _DOT, x + _DOT, y + _DOT) for x, y in places]
        for (x, y), (ms, gain, colour, name) in zip(places, dots, strict=True):
            self.parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" fill="{colour}">'
                f"<title>{escape(name)}: {ms:.1f} ms, {gain:+.2f} dB</title></circle>"
            )
            box, at = min(
                _around(x, y, len(name)),
                key=lambda place: sum(_overlap(place[0], other) for other in self.taken),
            )
            self.taken.append(box)
            self.text(*at, name, "middle")


def _around(x: float, y: float, letters: int) -> Iterator[tuple[Box, tuple[float, float]]]:
    """Where a name may stand beside a dot: its box, and the middle of its base line."""
    half = letters * _LETTER / 2
    aside = half + 2 * _DOT
    for row in range(4):
        for dx, dy in ((-aside, 4 + 14 * row), (aside, 4 + 14 * row), (0, -10 - 14 * row)):
            left, base = x + dx, y + dy
            inside = left - half >= _LEFT and left + half <= _WIDTH
            if inside and base <= _HEIGHT - _BOTTOM:
                yield (left - half, base - 10, left + half, base + 3), (left, base)
    yield (x - half, y + 10, x + half, y + 23), (x, y + 20)


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def quality_plot(result: dict[str, Any]) -> str:
    """A dot for each model and backend: milliseconds a frame and what it gains in dB.

    Dashed lines show what a camera of 25 frames a second allows and what the reference takes.

    Args:
        result: What :func:`rainclear.bench.bench.run_bench` found.

    Raises:
        ValueError: The quality of no model is known.
    """
    dots = [
        (label, backend, row["ms_median"], result["quality"][label]["gain_db"])
        for label, rows in result["models"].items()
        if label in result["quality"]
        for backend, row in rows.items()
    ]
    if not dots:
        raise ValueError("there is no quality to plot")
    reference = result["prenet_ms"]
    times = [ms for _, _, ms, _ in dots] + [_CAMERA_MS] + ([reference] if reference else [])
    canvas = _Canvas(times, [gain for *_, gain in dots])
    width, height = result["size"]
    title = f"Quality against time, {width}×{height}"
    canvas.text(_LEFT, 24, title, extra='font-size="15"')
    canvas.axes()
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    canvas.text(middle, _HEIGHT - 12, "milliseconds a frame (logarithmic)", "middle")
    turn = f'transform="rotate(-90 16 {_HEIGHT / 2})"'
    canvas.text(16, _HEIGHT / 2, "gain in PSNR over generated rain, dB", "middle", turn)
    canvas.mark(_CAMERA_MS, "25 frames a second", 10)
    if reference:
        canvas.mark(reference, "PReNet (random weights)", 26)
    colours = {
        label: COLOURS[1 + i % (len(COLOURS) - 1)] for i, label in enumerate(result["models"])
    }
    canvas.dots(
        [
            (ms, gain, colours[label], f"{label} {backend}".strip())
            for label, backend, ms, gain in dots
        ]
    )
    return "".join(canvas.parts) + "</svg>\n"
