"""A chart of means by rain intensity, as inline SVG that follows the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["COLOURS", "dot_chart"]

COLOURS = ("#8793a3", "#1f77d0", "#e08a00", "#0f9d76", "#c2559b", "#7a5af0")
"""Of the input and then of the models in turn; told apart by people who see few colours too."""

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 16, 54
_APART = 14  # pixels between the dots of a column


def dot_chart(
    title: str,
    groups: Sequence[tuple[str, str]],
    series: Mapping[str, Sequence[float | None]],
    *,
    digits: int,
    floor: float | None = None,
) -> str:
    """Dots side by side, a column a group, with a line from the input to the first model.

    Args:
        title: What is shown, with its unit.
        groups: Label and note of each column.
        series: Values of each column by name, the input first; ``None`` is left out.
        digits: Decimals of the values that a pointer over a dot shows.
        floor: Least value of the axis, if it has one.
    """
    values = [v for row in series.values() for v in row if v is not None]
    if not values:
        return ""
    low, step, count = _axis(min(values), max(values), floor)
    high = low + step * count

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def x(column: int, number: float) -> float:
        middle = _LEFT + (column + 0.5) * (_WIDTH - _LEFT - _RIGHT) / len(groups)
        return middle + _APART * (number - (len(series) - 1) / 2)

    decimals = max(0, -math.floor(math.log10(step)))

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
    ]
    for k in range(count + 1):
        at = y(low + k * step)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="tick" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{low + k * step:.{decimals}f}</text>"
        )
    for column, (label, note) in enumerate(groups):
        at = x(column, (len(series) - 1) / 2)
        parts.append(
            f'<text class="label" x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 20}" '
            f'text-anchor="middle">{escape(label)}</text>'
            f'<text class="tick" x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 37}" '
            f'text-anchor="middle">{escape(note)}</text>'
        )
        ends = [row[column] for row in list(series.values())[:2]]
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
            parts.append(
                f'<line class="gain" x1="{x(column, 0):.1f}" x2="{x(column, 1):.1f}" '
                f'y1="{y(ends[0]):.1f}" y2="{y(ends[1]):.1f}"/>'
            )
        for number, (name, row) in enumerate(series.items()):
            value = row[column]
            if value is None:
                continue
            parts.append(
                f'<circle cx="{x(column, number):.1f}" cy="{y(value):.1f}" r="5.5" '
                f'fill="{COLOURS[number % len(COLOURS)]}">'
                f"<title>{escape(name)}: {value:.{digits}f}</title></circle>"
            )
    parts.append("</svg>")
    return "".join(parts)


def _axis(low: float, high: float, floor: float | None) -> tuple[float, float, int]:
    """Lower end, step and number of steps of an axis with round numbers."""
    span = max(high - low, 1e-3)
    steps = (m * 10.0**e for e in range(-4, 4) for m in (1, 2, 5))
    step = next(s for s in steps if span / s <= 5)
    bottom = step * int(low / step - (low % step < 0.2 * step))
    if floor is not None:
        bottom = max(floor, bottom)
    count = 1
    while bottom + step * count < high:
        count += 1
    return bottom, step, count
