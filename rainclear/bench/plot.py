"""Quality against time, as an SVG file of its own."""

import math
from html import escape
from typing import Any

from rainclear.evaluation.chart import COLOURS

__all__ = ["quality_plot"]

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 64, 56
_INK, _FAINT, _RED = "#2b3440", "#d9dee5", "#b3261e"
_CAMERA_MS = 40.0  # 25 frames a second


class _Canvas:
    """A plot over milliseconds (logarithmic) and decibels."""

    def __init__(self, times: list[float], gains: list[float]) -> None:
        self.first = math.floor(math.log10(min(times)))
        self.last = max(self.first + 1, math.ceil(math.log10(max(times))))
        self.low = min(0.0, math.floor(min(gains)))
        self.high = max(self.low + 1.0, math.ceil(max(gains)))
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
        left = x > _WIDTH / 2
        self.text(x + (-4 if left else 4), _TOP - height + 9, text, "end" if left else "start")

    def dot(self, ms: float, gain: float, colour: str, name: str, row: int) -> None:
        """A dot with its name, in one of three rows on the side where there is more room."""
        x, y = self.x(ms), self.y(gain)
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}">'
            f"<title>{escape(name)}: {ms:.1f} ms, {gain:+.2f} dB</title></circle>"
        )
        below = y < _HEIGHT / 2
        self.text(x, y + (20 + 14 * row if below else -12 - 14 * row), name, "middle")


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
    for number, (label, backend, ms, gain) in enumerate(dots):
        canvas.dot(ms, gain, colours[label], f"{label} {backend}", number % 3)
    return "".join(canvas.parts) + "</svg>\n"
