"""Curves as inline SVG."""

import html
import math

__all__ = ["curves_svg"]

Points = list[tuple[float, float]]

_WIDTH, _HEIGHT = 460, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 22
_MOST = 400
_LARGEST = 1e300  # beyond it the height of a picture is no number
_COLOURS = ("#2a78d6", "#eb6834", "#1baf7a", "#8a63d2", "#d64a78", "#7a7a72", "#b08a1e", "#1795a8")


def _thinned(points: Points) -> Points:
    """At most 400 points, each the mean of its neighbours."""
    size = math.ceil(len(points) / _MOST)
    groups = [points[i : i + size] for i in range(0, len(points), size)] if size > 1 else []
    means = [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
    return means or points


def _ticks(low: float, high: float) -> list[float]:
    """About four round numbers between two."""
    raw = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]


def curves_svg(curves: dict[str, Points], *, log: bool = False) -> str:
    """A picture of curves, with a legend below it where there are several.

    Args:
        curves: Points (x, y) in the order of x, by name; values that are no number, or above 1e300,
            are left out.
        log: Logarithmic y axis; values below or at zero are left out.

    Returns:
        HTML; empty where there is nothing to draw.
    """
    shown: dict[str, Points] = {}
    for name, points in curves.items():
        usable = [(x, y) for x, y in points if abs(y) < _LARGEST and (y > 0 or not log)]
        if usable:
            shown[name] = [(x, math.log10(y) if log else y) for x, y in _thinned(usable)]
    if not shown:
        return ""
    xs, ys = zip(*(point for points in shown.values() for point in points), strict=True)
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    right = right if right > left else left + 1
    if high - low < 1e-9 * max(1.0, abs(high)):
        # 0.5 alone is lost beside a value above 1e16.
        around = 0.5 if log else 0.5 * max(1.0, abs(high))
        low, high = low - around, high + around
    across = (_WIDTH - _LEFT - _RIGHT) / (right - left)
    down = (_HEIGHT - _TOP - _BOTTOM) / (high - low)

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + (x - left) * across, _TOP + (high - y) * down

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for tick in _ticks(low, high):
        _, y = place(left, tick)
        label = f"{10**tick:.2g}" if log else f"{tick:.4g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for tick in _ticks(left, right):
        x, _ = place(tick, low)
        label = f"{tick:g}"
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{label}</text>')
    for i, points in enumerate(shown.values()):
        line = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points)
        colour = _COLOURS[i % len(_COLOURS)]
        if len(points) == 1:
            x, y = place(*points[0])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        else:
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
    parts.append("</svg>")
    if len(shown) > 1:
        names = (
            f'<span><i style="background:{_COLOURS[i % len(_COLOURS)]}"></i>{html.escape(name)}'
            "</span>"
            for i, name in enumerate(shown)
        )
        parts.append(f'<p class="legend">{"".join(names)}</p>')
    return "".join(parts)
