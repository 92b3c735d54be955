"""Pictures of a schedule: who works on which frame when, as text and as SVG."""

from collections.abc import Sequence
from html import escape

from rainclear.runtime.recording import HOST, Launch

__all__ = ["draw_timeline", "timeline_svg"]

_ORDER = (HOST, "upload", "compute", "tap", "download")
_COLOURS = ("#1b6ca8", "#e07a1f", "#3c8d5a", "#b03a4e", "#6c5ba7")
_LEFT, _WIDTH, _ROW, _HEAD = 92, 760, 26, 34
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600;font-size:13px}"
    ".n{fill:#fff;font-size:11px;text-anchor:middle}.a{fill:#666;text-anchor:middle}"
    ".l{text-anchor:end}"
)


def draw_timeline(work: Sequence[Launch], *, seconds: float, columns: int = 72) -> str:
    """The lanes as lines of text, a digit for the frame (its number modulo 10) that is worked on.

    Args:
        work: Of a :class:`rainclear.runtime.simulate.Forecast`.
        seconds: Time that is drawn, from the start.
        columns: Characters for it.
    """
    lines = []
    for lane, pieces in _lanes(work).items():
        row = ["·"] * columns
        for number, op in pieces:
            first, end = (round(t / seconds * columns) for t in (op.start, op.end))
            for column in range(first, min(columns, end)):
                row[column] = str(number % 10)
        lines.append(f"{lane:>8} {''.join(row)}")
    return "\n".join(lines)


def timeline_svg(panels: Sequence[tuple[str, Sequence[Launch]]], *, seconds: float) -> str:
    """Schedules below each other on one scale of time, each frame in a colour, with its number.

    Args:
        panels: A title and the work of a :class:`rainclear.runtime.simulate.Forecast` for each;
            the work's times count as milliseconds.
        seconds: Time that is drawn, in the unit of the work.
    """
    parts: list[str] = []
    y = 0
    for title, work in panels:
        lanes = _lanes(work)
        parts.append(f'<text class="t" x="{_LEFT}" y="{y + 22}">{escape(title)}</text>')
        y += _HEAD
        for lane, pieces in lanes.items():
            parts.append(f'<text class="l" x="{_LEFT - 10}" y="{y + 17}">{escape(lane)}</text>')
            parts.append(f'<rect x="{_LEFT}" y="{y}" width="{_WIDTH}" height="24" fill="#eee"/>')
            for number, op in pieces:
                parts += _piece(number, op, y, seconds)
            y += _ROW
    step = 10 ** (len(str(int(seconds))) - 1)
    for tick in range(0, int(seconds) + 1, step):
        x = _LEFT + tick / seconds * _WIDTH
        parts.append(f'<text class="a" x="{x:.1f}" y="{y + 14}">{tick} ms</text>')
    width, height = _LEFT + _WIDTH + 24, y + 24
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _piece(number: int, op: Launch, y: int, seconds: float) -> list[str]:
    start, end = (min(t, seconds) / seconds * _WIDTH for t in (op.start, op.end))
    if end - start < 1:
        return []
    x, wide = _LEFT + start, end - start - 1
    colour = _COLOURS[number % len(_COLOURS)]
    box = f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="24" rx="2" fill="{colour}"/>'
    if wide < 16:
        return [box]
    return [box, f'<text class="n" x="{x + wide / 2:.1f}" y="{y + 16}">{number}</text>']


def _lanes(work: Sequence[Launch]) -> dict[str, list[tuple[int, Launch]]]:
    """Work that takes time, with the number of its frame, by lane in the order of a frame's way."""
    counts: dict[str, int] = {}
    rows: dict[str, list[tuple[int, Launch]]] = {}
    for op in work:
        number = counts[op.name] = counts.get(op.name, -1) + 1
        row = rows.setdefault(op.lane, [])
        if op.end > op.start:
            row.append((number, op))
    return {lane: rows[lane] for lane in _ORDER if rows.get(lane)}
