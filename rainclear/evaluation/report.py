"""Reports of a run: JSON, and one HTML page that needs no other file and no network."""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rainclear.errors import OutputError
from rainclear.evaluation.chart import COLOURS, dot_chart
from rainclear.evaluation.gallery import Shot
from rainclear.evaluation.page import card, page
from rainclear.evaluation.restoration import Evaluation
from rainclear.evaluation.scores import METRICS, summary
from rainclear.video import is_image, is_video
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["TITLES", "ReportFiles", "restoration_page"]

TITLES = {
    "psnr_rgb": ("PSNR, RGB", "dB", 2, True),
    "psnr_y": ("PSNR, Y", "dB", 2, True),
    "ssim_y": ("SSIM, Y", "", 4, True),
    "lpips": ("LPIPS", "", 4, False),
    "temporal_error": ("Temporal error", "levels", 3, False),
}
"""Name, unit, decimals of each metric, and whether more is better."""


class ReportFiles:
    """The files that a run will write: checked before it starts, whole when it is done.

    A context manager: leaving it without :meth:`write` leaves every file as it was.

    Args:
        json_path: Where the JSON goes, if anywhere. An earlier file is replaced.
        html_path: Where the page goes, if anywhere.

    Raises:
        OutputError: A file cannot be written there, is a picture or video, or both are one file.
    """

    def __init__(self, json_path: Path | None, html_path: Path | None) -> None:
        paths = [path for path in (json_path, html_path) if path is not None]
        for path in paths:
            if is_image(path) or is_video(path):
                raise OutputError(f"{path}: is named as a picture or video; a report is text")
        if len({path.resolve() for path in paths}) < len(paths):
            raise OutputError(f"{json_path}: JSON and HTML cannot go into one file; give two names")
        self._files: list[PartialFile] = []
        self._json, self._html = (self._reserve(path) for path in (json_path, html_path))

    def _reserve(self, path: Path | None) -> PartialFile | None:
        if path is None:
            return None
        try:
            file = PartialFile(path, overwrite=True)
        except OutputError:
            self.close()
            raise
        self._files.append(file)
        return file

    @property
    def wants_page(self) -> bool:
        """Whether there will be an HTML page."""
        return self._html is not None

    def write(self, data: Mapping[str, Any], page: str) -> None:
        """Write what was asked for and give the files their names.

        Raises:
            OutputError: The disk is full or another file took a name.
        """
        text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        for file, content in ((self._json, text), (self._html, page)):
            if file is not None:
                with output_errors(file.path, "the report cannot be written"):
                    file.partial.write_text(content, encoding="utf-8")
        for file in self._files:
            file.commit()

    def close(self) -> None:
        """Remove what is unfinished; harmless when repeated."""
        for file in self._files:
            file.discard()

    def __enter__(self) -> "ReportFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def restoration_page(result: Evaluation, *, subject: str) -> str:
    """The HTML page of a run, with style, charts and pictures inside.

    Args:
        result: What came out.
        subject: What was measured on, as plain text.
    """
    results = {model: summary(result.pictures, model) for model in result.models}
    first = results[result.models[0]]
    clips = {p.clip for p in result.pictures if p.clip is not None}
    counts = _pictures(first["pairs"])
    if clips:
        counts += f", from {len(clips)} clip{'s' if len(clips) > 1 else ''}"
    if first["dry"]:
        counts += f"; {first['dry']} equal their truth and are left out of the means of PSNR"
    parts = [
        f"<header><h1>Restoration</h1><p>{escape(subject)}<br>{escape(counts)}</p></header>",
        _legend(result.models),
        _table(results),
        "<h2>By rain intensity</h2>",
        "<p>Columns are ranges of the mean difference between rainy and clean picture, in levels "
        "0 to 255. Every dot is the mean of a column; the line is what the first model changes."
        "</p>",
        f'<div class="charts">{_charts(results)}</div>',
        _shots("Largest gains", result.gallery.best, result.models[0]),
        _shots("Smallest gains and losses", result.gallery.worst, result.models[0]),
        *(f'<p class="note">{escape(note)}</p>' for note in result.notes),
        f"<footer><p>{_FOOT}</p></footer>",
    ]
    return page("Restoration", parts)


def _pictures(count: int) -> str:
    return f"{count} picture{'s' if count != 1 else ''}"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _legend(models: Sequence[str]) -> str:
    names = ["rainy", *models]
    items = (
        f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _number(value: float | None, digits: int) -> str:
    return "∞" if value is None else f"{value:.{digits}f}"


def _table(results: Mapping[str, dict[str, Any]]) -> str:
    first = next(iter(results.values()))
    shown = [m for m in METRICS if first.get(m) is not None]
    head = "".join(
        f"<th>{TITLES[m][0]}{', ' + TITLES[m][1] if TITLES[m][1] else ''}"
        f"<small>{'more' if TITLES[m][3] else 'less'} is better</small></th>"
        for m in shown
    )
    rainy = "".join(f"<td>{_number(first[m]['input'], TITLES[m][2])}</td>" for m in shown)
    rows = [f"<tr><th>rainy</th>{rainy}</tr>"]
    for model, data in results.items():
        cells = "".join(_cell(data[m], m) for m in shown)
        rows.append(f"<tr><th>{escape(model)}</th>{cells}</tr>")
    return (
        '<div class="scroll"><table><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(pair: Mapping[str, float | None], metric: str) -> str:
    _, _, digits, more = TITLES[metric]
    before, after = pair["input"], pair["output"]
    if before is None or after is None:
        return f"<td>{_number(after, digits)}</td>"
    won = after - before
    good = won > 0 if more else won < 0
    kind = "won" if good else "lost" if won else "same"
    return f'<td>{after:.{digits}f}<small class="{kind}">{_signed(won, digits)}</small></td>'


def _charts(results: Mapping[str, dict[str, Any]]) -> str:
    first = next(iter(results.values()))
    groups = [(b["label"], _pictures(b["pairs"])) for b in first["by_intensity"]]
    figures = []
    for metric in METRICS:
        bins = first["by_intensity"]
        if all(b.get(metric) is None for b in bins):
            continue
        series: dict[str, list[float | None]] = {"rainy": _values(bins, metric, "input")}
        for model, data in results.items():
            series[model] = _values(data["by_intensity"], metric, "output")
        name, unit, digits, more = TITLES[metric]
        title = f"{name}{', ' + unit if unit else ''}"
        chart = dot_chart(title, groups, series, digits=digits, floor=0.0)
        if chart:
            less = "" if more else " <small>less is better</small>"
            figures.append(f"<figure><figcaption>{title}{less}</figcaption>{chart}</figure>")
    return "".join(figures)


def _values(bins: Sequence[dict[str, Any]], metric: str, side: str) -> list[float | None]:
    return [None if b.get(metric) is None else b[metric][side] for b in bins]


def _shots(title: str, shots: Sequence[Shot], model: str) -> str:
    if not shots:
        return ""
    cards = []
    for shot in shots:
        score, gain = shot.score, shot.score.gain(model)
        won = f"{_signed(gain, 2)} dB" if math.isfinite(gain) else "equal to the truth"
        tone = "won" if gain > 0 else "lost"
        note = (
            f'<small class="{tone}">{won}</small><small>rain {score.intensity:.1f} levels</small>'
        )
        captions = {what: _caption(shot, what) for what in shot.jpegs}
        cards.append(card(score.title, note, shot.jpegs, captions=captions))
    return f"<h2>{title}</h2>{''.join(cards)}"


def _caption(shot: Shot, what: str) -> str:
    score = shot.score.outputs.get(what, shot.score.input if what == "rainy" else None)
    if score is None:
        return ""
    return f" <small>{score.psnr_rgb:.2f} dB, SSIM {score.ssim_y:.3f}</small>"


_FOOT = (
    "PSNR and SSIM are means over pictures, against a peak of 255. Y is the luma of ITU-R BT.601 "
    "in 16 to 235, as Matlab’s rgb2ycbcr gives it, not rounded. SSIM has a Gaussian window of "
    "11×11 with σ 1.5. The temporal error is the mean of |Δpicture − Δtruth| from frame to "
    "frame. Gains of single pictures are in RGB PSNR."
)
