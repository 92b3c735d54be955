"""Time over pixels, time and memory over frames, as an SVG file of its own."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from rainclear.evaluation.chart import COLOURS

__all__ = ["growth_plot"]

_WIDTH, _HEIGHT, _PANEL = 960, 340, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 64, 56
_INK, _FAINT = "#2b3440", "#d9dee5"

Points = Sequence[tuple[float, float]]


def growth_plot(result: dict[str, Any]) -> str:
    """Three panels: milliseconds over pixels, seconds over frames (both logarithmic), memory.

    A straight line of slope 1, dashed, runs through the last point of the first two.

    Args:
        result: What :func:`rainclear.bench.bench.run_bench` found, with ``growth``.

    Raises:
        ValueError: Growth was not measured.
    """
    growth = result["growth"]
    if growth is None:
        raise ValueError("there is no growth to plot")
    pixels = [(r["size"][0] * r["size"][1] / 1e6, r["cpu_ms_median"]) for r in growth["pixels"]]
    frames = [(m["frames"], m["cpu_seconds"]) for m in growth["frames"]]
    memory = [(m["frames"], m["memory_mb"]) for m in growth["frames"] if m["memory_mb"]]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">Growth: {escape(growth["model"])} on '
        f"{escape(growth['backend'])}</text>",
        *_panel(0, pixels, "megapixels", "processor ms a frame", law=True),
        *_panel(1, frames, "frames", "processor s in all", law=True),
        *_panel(2, memory, "frames", "resident MiB", law=False),
    ]
    return "".join(parts) + "</svg>\n"


def _panel(number: int, points: Points, across: str, up: str, *, law: bool) -> list[str]:
    left, right = number * _PANEL + _LEFT, (number + 1) * _PANEL - _RIGHT
    base = _HEIGHT - _BOTTOM
    words = [
        f'<text x="{(left + right) / 2}" y="{_HEIGHT - 14}" text-anchor="middle">{across}</text>',
        f'<text x="{left}" y="{_TOP - 12}">{up}</text>',
        f'<path d="M{left} {_TOP}V{base}H{right}" fill="none" stroke="{_FAINT}"/>',
    ]
    if not points:
        return [*words, f'<text x="{left + 8}" y="{base - 8}">not known here</text>']
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) if law else y for _, y in points]
    low, high = (min(ys), max(ys)) if law else (0.0, 1.25 * max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - min(xs)) / (max(xs) - min(xs) or 1)
        rise = (y - low) / (high - low or 1)
        return left + 12 + across * (right - left - 24), base - 12 - rise * (base - _TOP - 24)

    if law:
        (x1, y1), (x2, y2) = at(xs[0], ys[-1] - (xs[-1] - xs[0])), at(xs[-1], ys[-1])
        words.append(
            f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{_INK}" '
            'stroke-dasharray="5 4"><title>linear</title></path>'
        )
    for (x, y), lx, ly in zip(points, xs, ys, strict=True):
        px, py = at(lx, ly)
        words.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{COLOURS[1]}">'
            f"<title>{x:g} {across}: {y:.4g}</title></circle>"
            f'<text x="{px:.1f}" y="{py - 9:.1f}" text-anchor="middle">{y:.3g}</text>'
            f'<text x="{px:.1f}" y="{base + 16}" text-anchor="middle">{x:.3g}</text>'
        )
    return words
