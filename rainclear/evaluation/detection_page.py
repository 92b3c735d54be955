"""The report of a detection run as one HTML page that needs no other file and no network."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rainclear.evaluation.detection_scores import NO_MODEL, DetectionEvaluation, ModelGain, Score
from rainclear.evaluation.detection_shots import SHOWN_SCORE, DetectionShot
from rainclear.evaluation.page import card, page

__all__ = ["detection_page"]

_COLOURS = ("#1f77d0", "#e08a00", "#0f9d76", "#c2559b", "#7a5af0")


def detection_page(
    result: DetectionEvaluation,
    *,
    subject: str,
    best: Sequence[DetectionShot] = (),
    worst: Sequence[DetectionShot] = (),
) -> str:
    """The page, with style, curves and pictures inside.

    Args:
        result: What came out.
        subject: What was measured with what, as plain text.
        best: Pictures with the largest gains.
        worst: Pictures with the largest losses.
    """
    parts = [
        f"<h1>Detection</h1><p>{escape(subject)}<br>{result.extent}; classes: "
        f"{escape(', '.join(result.classes.names))}</p>",
        _table(result),
        *(f"<p>{escape(line)}.</p>" for line in (*result.passed, result.pictures.left_out) if line),
        "<h2>By class</h2>",
        _class_table(result),
        "<h2>By required overlap, and by recall</h2><p>First: mean average precision where a box "
        "counts as found only if it overlaps its label by so much (intersection over union). "
        "Second: the share of boxes that are right where so many of the labels are found, mean "
        "over classes.</p>",
        _curves(result),
        _shots("Largest gains", best, result.pictures.draws),
        _shots("Largest losses", worst, result.pictures.draws),
        f"<footer><p>{_FOOT}</p></footer>",
    ]
    return page("Detection", parts, style=_STYLE)


def _rows(result: DetectionEvaluation) -> list[tuple[str, Score, ModelGain | None]]:
    rows: list[tuple[str, Score, ModelGain | None]] = []
    if result.clean is not None:
        rows.append(("clean", result.clean, None))
    rows.append(("rainy", result.rainy, None))
    rows += [(f"derained, {name}", gain.score, gain) for name, gain in result.models.items()]
    return rows


def _signed(value: float | None, *, percent: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:.0%}" if percent else f"{value:+.4f}"


def _tone(value: float | None) -> str:
    return "" if not value else ' class="won"' if value > 0 else ' class="lost"'


def _table(result: DetectionEvaluation) -> str:
    body = []
    for name, score, gain in _rows(result):
        cells = f"<td>{score.map50_95:.4f}</td><td>{score.map50:.4f}</td>"
        if gain is None:
            cells += "<td></td>" * 4
        else:
            low, high = gain.gain_ci95
            cells += (
                f"<td{_tone(gain.gain)}>{_signed(gain.gain)}</td>"
                f"<td>{low:+.4f} … {high:+.4f}</td>"
                f"<td>{_signed(gain.recovered, percent=True)}</td>"
                f"<td{_tone(gain.dry_regression)}>{_signed(gain.dry_regression)}</td>"
            )
        body.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    head = "".join(
        f"<th>{title}</th>"
        for title in ("", "mAP50-95", "mAP50", "gain", "95 % interval", "recovered", "dry pictures")
    )
    return _wrap(head, body)


def _class_table(result: DetectionEvaluation) -> str:
    rows = _rows(result)
    head = "<th></th><th>boxes</th>" + "".join(f"<th>{escape(name)}</th>" for name, _, _ in rows)
    body = []
    for label in result.classes.names:
        boxes = round(result.rainy.per_class[label]["boxes"])
        cells = f"<td>{boxes}</td>"
        for _, score, gain in rows:
            value = score.per_class[label]["map50_95"]
            won = gain.per_class[label]["gain"] if gain else None
            change = f" <small{_tone(won)}>{won:+.4f}</small>" if won is not None else ""
            cells += f"<td>{value:.4f}{change}</td>"
        body.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
    return _wrap(head, body)


def _wrap(head: str, body: list[str]) -> str:
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """How a curve is drawn: a CSS colour, and whether it is dashed."""

    colour: str
    dashed: bool


def _lines(result: DetectionEvaluation) -> dict[str, _Line]:
    """The look of each row. Rainy has the ink of the page, so that it shows in dark mode too."""
    looks = {}
    colours = itertools.cycle(_COLOURS)
    for name, _, gain in _rows(result):
        colour = next(colours) if gain else {"clean": "#8793a3"}.get(name, "var(--ink)")
        # The control lies upon the rainy pictures' curve, which shows between its dashes.
        control = gain is not None and result.models.get(NO_MODEL) is gain
        looks[name] = _Line(colour=colour, dashed=control)
    return looks


def _curves(result: DetectionEvaluation) -> str:
    looks, rows = _lines(result), _rows(result)
    legend = []
    for name, look in looks.items():
        kind = "border:2px dashed" if look.dashed else "background:"
        legend.append(f'<span><i style="{kind} {look.colour}"></i>{escape(name)}</span>')
    top = max(0.05, *(v for _, score, _ in rows for v in score.by_overlap)) * 1.05
    charts = [
        _chart(
            "mAP by required overlap",
            {name: score.by_overlap for name, score, _ in rows},
            looks,
            top=top,
            ticks=[f"{0.5 + 0.05 * i:.2f}" for i in range(10)],
        ),
        _chart(
            "Precision by recall at overlap 0.5",
            {name: score.by_recall for name, score, _ in rows},
            looks,
            top=1.0,
            ticks=[f"{0.2 * i:.1f}" for i in range(6)],
        ),
    ]
    return f'<p class="legend">{"".join(legend)}</p><div class="charts">{"".join(charts)}</div>'


def _chart(
    title: str,
    curves: Mapping[str, Sequence[float]],
    looks: Mapping[str, _Line],
    *,
    top: float,
    ticks: Sequence[str],
) -> str:
    """Curves over the same steps, from left to right; ``ticks`` stand at equal distances."""
    width, height, left, bottom = 640, 300, 44, 28

    def across(part: float) -> float:
        return left + part * (width - left - 18)

    def up(value: float) -> float:
        return (height - bottom - 10) * (1 - value / top) + 10

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">']
    for k in range(5):
        value = top * k / 4
        y = up(value)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{across(1):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{value:.2f}</text>"
        )
    for i, text in enumerate(ticks):
        x = across(i / (len(ticks) - 1))
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{text}</text>'
        )
    for name, curve in curves.items():
        step = 1 / (len(curve) - 1)
        line = " ".join(f"{across(i * step):.1f},{up(v):.1f}" for i, v in enumerate(curve))
        dash = ";stroke-dasharray:7 5" if looks[name].dashed else ""
        parts.append(
            f'<polyline points="{line}" fill="none" stroke-width="2" '
            f'style="stroke:{looks[name].colour}{dash}"/>'
        )
    return f"<figure><figcaption>{title}</figcaption>{''.join(parts)}</svg></figure>"


def _shots(title: str, shots: Sequence[DetectionShot], draws: int) -> str:
    if not shots:
        return ""
    over = f" over {draws} rains, the first of which is shown" if draws > 1 else ""
    cards = []
    for shot in shots:
        note = f"<small{_tone(shot.gain)}>{shot.gain:+.3f} mAP50-95{over}</small>"
        cards.append(card(shot.name, note, shot.jpegs))
    return f"<h2>{title}</h2>{''.join(cards)}"


_FOOT = (
    "Boxes of the gallery: green found, red false, yellow missed, grey regions that count neither "
    f"way; scores from {SHOWN_SCORE}, overlap from 0.5. mAP is COCO’s, over the classes that the "
    "labels have. Intervals are of pictures drawn anew with replacement, each with all its rains, "
    "the same for both sides. “recovered” is the gain over what the rain took; “dry pictures” is "
    "what the model changes on clean ones."
)

_STYLE = """
.won { color: var(--won) } .lost { color: var(--lost) }
.row { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)) }
"""
