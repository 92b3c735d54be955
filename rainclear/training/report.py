"""``report.html``: a run's curves and pictures in one file that opens without a server."""

import base64
import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2

from rainclear.training import history
from rainclear.training.checkpoint import whole_file
from rainclear.training.curves import curves_svg
from rainclear.training.progress import Picture

__all__ = ["kept_pictures", "write_report"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1em; }
.cells.wide { grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); }
figure { margin: 0; } figcaption { opacity: .8; } img { width: 100%; display: block; }
svg { width: 100%; font-size: 11px; } svg text { fill: currentColor; opacity: .75; }
svg polyline { stroke-width: 1.5; } svg .grid { stroke: currentColor; opacity: .15; }
.legend { margin: 0; font-size: 13px; } .legend span { margin-right: 1em; }
.legend i { display: inline-block; width: 12px; height: 3px; margin-right: 4px;
  vertical-align: middle; }
table { border-collapse: collapse; } td, th { padding: .15em .9em .15em 0; text-align: left; }
td { font-variant-numeric: tabular-nums; } pre { overflow-x: auto; }
"""
_KEYS = ("step", "lr", "seconds_per_step", "waiting")
_PICTURES = "<h2>A held-out clip</h2>"


def write_report(
    folder: Path,
    *,
    title: str,
    recipe: str,
    pictures: dict[str, Picture],
    steps: int,
    kept: Sequence[str] = (),
) -> Path:
    """Write ``report.html`` from the logs in ``folder``; returns its path.

    Args:
        folder: Folder of the run, with ``losses.jsonl`` and ``log.jsonl``.
        title: Name of the model.
        recipe: The settings, as YAML.
        pictures: What the network makes of a held-out clip, by caption.
        steps: Steps of the whole run.
        kept: Shown as long as there are no pictures, from :func:`kept_pictures`.

    Raises:
        OutputError: It cannot be written.
    """
    losses = history.read(folder / "losses.jsonl")
    scores = history.read(folder / "log.jsonl")
    done = max((row["step"] for row in (*losses[-1:], *scores[-1:])), default=0)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{html.escape(title)}: training</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1><p>Step {done} of {steps}.</p>",
        *_score_parts(scores),
        *(_picture_parts(pictures) or kept),
        *_loss_parts(losses),
        f"<h2>Recipe</h2><pre>{html.escape(recipe)}</pre></body></html>",
    ]
    path = folder / "report.html"
    with whole_file(path) as file:
        file.write("\n".join(parts).encode())
    return path


def kept_pictures(folder: Path) -> list[str]:
    """The pictures of the report in ``folder``, for the one that will replace it; empty if none."""
    try:
        lines = (folder / "report.html").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    first = lines.index(_PICTURES) if _PICTURES in lines else len(lines)
    return lines[first : first + 2]


def _curve(rows: list[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(row["step"], row[key]) for row in rows if key in row]


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """Every key of any row but the fixed ones, in the order they first appear."""
    return list(dict.fromkeys(key for row in rows for key in row if key not in _KEYS))


def _figure(caption: str, drawing: str) -> str:
    return f"<figure>{drawing}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _cells(figures: Iterable[str], *, wide: bool = False) -> str:
    return f'<div class="cells{" wide" if wide else ""}">{"".join(figures)}</div>'


def _rank(row: dict[str, Any]) -> float:
    """What decides which weights are kept: the score, of dual-pixel halves the result's PSNR."""
    value = float(row.get("score", row.get("output", math.nan)))
    return value if math.isfinite(value) else -math.inf


def _score_parts(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    names = _names(rows)
    best = max(rows, key=_rank) if any(_rank(row) > -math.inf for row in rows) else rows[-1]
    lines = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{rows[-1].get(name, float('nan')):.3f}</td>"
        f"<td>{best.get(name, float('nan')):.3f}</td></tr>"
        for name in names
    )
    shares = {name: _curve(rows, name) for name in names if name in ("ssim", "iou")}
    outputs = {name: _curve(rows, name) for name in names if name.startswith("output")}
    others = {name: _curve(rows, name) for name in names if name in ("gain", "score")}
    figures = [
        _figure("PSNR by kind of rain, dB", curves_svg(outputs)),
        _figure("gain and score, dB", curves_svg(others)),
    ]
    if shares:  # of dual-pixel halves
        drawn = [
            ("PSNR of the result, dB", outputs),
            ("gain, dB", others),
            ("ssim and iou", shares),
        ]
        figures = [_figure(name, curves_svg(curves)) for name, curves in drawn if any(curves)]
    return [
        "<h2>Validation</h2>",
        _cells(figures, wide=True),
        f"<table><tr><th></th><th>step {rows[-1]['step']}</th>"
        f"<th>best, step {best['step']}</th></tr>{lines}</table>",
    ]


def _picture_parts(pictures: dict[str, Picture]) -> list[str]:
    if not pictures:
        return []
    return [
        _PICTURES,
        _cells(
            _figure(caption, f'<img alt="{html.escape(caption)}" src="{_data_uri(picture)}">')
            for caption, picture in pictures.items()
        ),
    ]


def _data_uri(picture: Picture) -> str:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _loss_parts(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    figures = []
    for name in _names(rows):
        points = _curve(rows, name)
        positive = all(y > 0 for _, y in points)
        figures.append(_figure(name, curves_svg({name: points}, log=positive)))
    speed = {
        "whole step": _curve(rows, "seconds_per_step"),
        "waiting for data": _curve(rows, "waiting"),
    }
    figures.append(_figure("learning rate", curves_svg({"lr": _curve(rows, "lr")})))
    figures.append(_figure("seconds a step", curves_svg(speed)))
    return ["<h2>Losses, weighted</h2>", _cells(figures)]
