"""Plots as SVG files of their own: lines over bins or numbers, and points with their means."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from rainclear.evaluation.chart import COLOURS

__all__ = ["bin_plot", "line_plot", "point_plot"]

_WIDTH, _HEIGHT = 640, 400
_LEFT, _TOP, _BOTTOM = 64, 44, 56
_BARE, _LEGEND = 20, 150  # right of the axes
_COLOURS = (*COLOURS, "#a0522d", "#111827")
_INK, _FAINT = "#2b3440", "#d9dee5"


def _round_step(span: float) -> float:
    """A round step that cuts ``span`` into at most six parts."""
    steps = (m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5))
    return next(step for step in steps if span / step <= 6)


class _Plot:
    """A frame with axes; ``x`` runs over 0..1, ``y`` over values."""

    def __init__(
        self, title: str, x_label: str, y_label: str, low: float, high: float, right: int = _BARE
    ) -> None:
        self.right = right
        step = _round_step(max(high - low, 1e-3))
        self.low = step * int(low // step)
        self.high = max(self.low + step, step * -int(-high // step))
        middle = (_LEFT + _WIDTH - right) / 2
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">',
            f"<title>{escape(title)}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
        ]
        self.text(_LEFT, 24, title, size=15)
        self.text(middle, _HEIGHT - 12, x_label, anchor="middle")
        turn = f'transform="rotate(-90 16 {_HEIGHT / 2})"'
        self.text(16, _HEIGHT / 2, y_label, anchor="middle", extra=turn)
        for k in range(round((self.high - self.low) / step) + 1):
            value = self.low + k * step
            self.line([(0.0, value), (1.0, value)], _FAINT, width=1.0)
            self.text(_LEFT - 8, self.y(value) + 4, f"{value:g}", anchor="end")

    def x(self, share: float) -> float:
        return _LEFT + share * (_WIDTH - _LEFT - self.right)

    def y(self, value: float) -> float:
        inner = _HEIGHT - _TOP - _BOTTOM
        return _HEIGHT - _BOTTOM - (value - self.low) / (self.high - self.low) * inner

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        size: int = 12,
        extra: str = "",
    ) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {extra}>'
            f"{escape(text)}</text>"
        )

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 2.0
    ) -> None:
        for (a, b), (c, d) in pairwise(points):
            self.parts.append(
                f'<line x1="{self.x(a):.1f}" y1="{self.y(b):.1f}" x2="{self.x(c):.1f}" '
                f'y2="{self.y(d):.1f}" stroke="{colour}" stroke-width="{width:g}"/>'
            )

    def dot(self, share: float, value: float, colour: str, *, radius: float, note: str) -> None:
        self.parts.append(
            f'<circle cx="{self.x(share):.1f}" cy="{self.y(value):.1f}" r="{radius:g}" '
            f'fill="{colour}"><title>{escape(note)}</title></circle>'
        )

    def line_sample(self, x: float, y: float, colour: str) -> None:
        self.parts.append(
            f'<line x1="{x}" y1="{y}" x2="{x + 14}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        )

    def svg(self) -> str:
        return "".join(self.parts) + "</svg>\n"


def bin_plot(
    title: str,
    bins: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Lines over named bins, with a legend.

    Args:
        title: Above the plot.
        bins: Names of the bins from left to right.
        series: A value a bin, by name; ``None`` is left out.
        x_label: Below the horizontal axis.
        y_label: Beside the vertical one.

    Raises:
        ValueError: There is no value.
    """
    values = [v for row in series.values() for v in row if v is not None]
    if not values:
        raise ValueError("there is no value to plot")
    plot = _Plot(title, x_label, y_label, min(values), max(values), _LEGEND)

    def share(column: int) -> float:
        return (column + 0.5) / len(bins)

    for column, name in enumerate(bins):
        plot.text(plot.x(share(column)), _HEIGHT - _BOTTOM + 18, name, anchor="middle")
    for number, (name, row) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(share(i), v) for i, v in enumerate(row) if v is not None]
        plot.line(points, colour)
        for x, value in points:
            plot.dot(x, value, colour, radius=4.0, note=f"{name}: {value:.2f}")
        top = _TOP + 8 + 20 * number
        plot.parts.append(
            f'<circle cx="{_WIDTH - _LEGEND + 16}" cy="{top}" r="4" fill="{colour}"/>'
        )
        plot.text(_WIDTH - _LEGEND + 26, top + 4, name)
    return plot.svg()


def point_plot(
    title: str,
    points: Sequence[tuple[float, float]],
    *,
    x_label: str,
    y_label: str,
    bins: int = 8,
) -> str:
    """Points, and a line through the means of equal bins of x.

    Args:
        title: Above the plot.
        points: (x, y).
        x_label: Below the horizontal axis.
        y_label: Beside the vertical one.
        bins: Number of bins.

    Raises:
        ValueError: There is no point.
    """
    if not points:
        raise ValueError("there is no point to plot")
    xs = [x for x, _ in points]
    step = _round_step(max(max(xs) - min(xs), 1e-3))
    low = step * int(min(xs) // step)
    high = max(low + step, step * -int(-max(xs) // step))
    plot = _Plot(title, x_label, y_label, 0.0, max(y for _, y in points))

    def share(x: float) -> float:
        return (x - low) / (high - low)

    for k in range(round((high - low) / step) + 1):
        value = low + k * step
        plot.text(plot.x(share(value)), _HEIGHT - _BOTTOM + 18, f"{value:g}", anchor="middle")
    for x, y in points:
        plot.dot(share(x), y, COLOURS[0], radius=3.0, note=f"{x:.2f}, {y:.1f}")
    groups: dict[int, list[tuple[float, float]]] = {}
    for x, y in points:
        groups.setdefault(min(bins - 1, int(share(x) * bins)), []).append((share(x), y))
    means = [
        (sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g))
        for _, g in sorted(groups.items())
    ]
    plot.line(means, COLOURS[1], width=3.0)
    for x, y in means:
        plot.dot(x, y, COLOURS[1], radius=5.0, note=f"mean {y:.1f}")
    return plot.svg()


def line_plot(
    title: str,
    xs: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Lines over numbers, with a legend; the vertical axis starts at 0.

    Args:
        title: Above the plot.
        xs: Places of the values on the horizontal axis, rising.
        series: A value for each of ``xs``, by name.
        x_label: Below the horizontal axis.
        y_label: Beside the vertical one.

    Raises:
        ValueError: There is no value, or a line has more or fewer of them than there are places.
    """
    if not xs or not series:
        raise ValueError("there is no value to plot")
    plot = _Plot(title, x_label, y_label, 0.0, max(map(max, series.values())), _LEGEND)
    low, span = xs[0], max(xs[-1] - xs[0], 1e-9)
    step = _round_step(span)
    for k in range(-int(-low // step), int((low + span) // step) + 1):
        plot.text(
            plot.x((k * step - low) / span),
            _HEIGHT - _BOTTOM + 18,
            f"{k * step:g}",
            anchor="middle",
        )
    for number, (name, row) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        plot.line([((x - low) / span, y) for x, y in zip(xs, row, strict=True)], colour)
        top = _TOP + 8 + 20 * number
        plot.line_sample(_WIDTH - _LEGEND + 10, top, colour)
        plot.text(_WIDTH - _LEGEND + 30, top + 4, name)
    return plot.svg()
