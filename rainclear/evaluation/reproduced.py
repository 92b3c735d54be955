"""Our figures beside the paper's: scores of trained networks, as Markdown, JSON and a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from rainclear.config import ModelSpec
from rainclear.data.protocol import Pair
from rainclear.evaluation.cases import Case, Shown
from rainclear.evaluation.intensity import BINS
from rainclear.evaluation.paper import PaperRow, PaperTable
from rainclear.evaluation.plot import bin_plot
from rainclear.evaluation.restoration import evaluate
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.load import build_network

__all__ = [
    "TABLE6_SIZE",
    "Complexity",
    "complexity",
    "complexity_markdown",
    "intensity_plot",
    "score_model",
    "table_markdown",
    "table_remarks",
    "table_title",
]

TABLE6_SIZE = 497
"""Side of a square picture: DAiAM's weights, each used once a pixel, make Table 6's FLOPs there.

The table names no size, and its rows do not agree on one.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complexity:
    """What a network costs: parameters, and multiply-adds of one pass in evaluation mode."""

    parameters: int
    multiply_adds: int


def complexity(spec: ModelSpec, *, height: int, width: int) -> Complexity:
    """Count, without computing anything.

    Args:
        spec: The network.
        height: Height of the picture in pixels.
        width: Its width.

    Raises:
        ConfigError: There is no such network.
    """
    with torch.device("meta"):
        network = build_network(spec.architecture).eval()
        picture = torch.empty(1, 3, height, width)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(picture)
    parameters = sum(p.numel() for p in network.parameters())
    return Complexity(parameters=parameters, multiply_adds=counter.get_total_flops() // 2)


def score_model(folder: Path, pairs: Sequence[Pair], *, device: str = "auto") -> dict[str, Any]:
    """Scores of a trained model; see :func:`rainclear.evaluation.scores.summary`.

    Args:
        folder: Model folder.
        pairs: What it is scored on.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """
    derainer = Derainer(str(folder), device=device, precision="fp32")
    cases = [_case(pair) for pair in pairs]
    return evaluate(cases, {folder.parent.name: derainer}).as_dict()


def _case(pair: Pair) -> Case:
    shown = Shown(name=pair.name, rainy=pair.rainy, clean=pair.clean)
    return Case(name=pair.name, clip=False, frames=1, open=lambda: iter([shown]))


def table_markdown(
    table: PaperTable, results: Mapping[str, dict[str, Any]], *, source: str, budget: str
) -> str:
    """The paper's table with our columns, best of ours in bold.

    Args:
        table: The paper's.
        results: What :func:`score_model` gave, with ``steps`` and ``seconds``, by model's name;
            networks that are not there yet are left open.
        source: What ours were trained and scored on.
        budget: What each had.
    """
    lines = [
        f"# {table_title(table)}",
        "",
        f"The paper's figures are on {table.data}; ours on {source}. Budget: {budget}.",
        "",
        "| network | paper PSNR | paper SSIM | our PSNR | gain | our Y-PSNR | our Y-SSIM | steps "
        "| training |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    best = max((_score(r, "psnr_rgb", "output") for r in results.values()), default=0.0)
    for row in table.rows:
        lines.append(_line(row, results.get(row.model or ""), best))
    for remark in table_remarks(table, results):
        lines += ["", remark]
    if len(results) > 1:
        lines += ["", "## By rain intensity", "", *_intensity(table, results)]
    return "\n".join(lines) + "\n"


def table_title(table: PaperTable) -> str:
    """Number and title, as a heading."""
    return f"Table {table.name.removeprefix('table')}: {table.title}"


def table_remarks(table: PaperTable, results: Mapping[str, dict[str, Any]]) -> list[str]:
    """What the rainy pictures score by themselves, and whether the networks rank as the paper's.

    Args:
        table: The paper's.
        results: As for :func:`table_markdown`.
    """
    remarks = []
    rainy = next(iter(results.values()), None)
    if rainy is not None:
        scores = {m: _score(rainy, m, "input") for m in ("psnr_rgb", "psnr_y", "ssim_y")}
        remarks.append(
            f"The {rainy['pairs']} rainy pictures themselves: PSNR {scores['psnr_rgb']:.2f}, "
            f"Y-PSNR {scores['psnr_y']:.2f}, Y-SSIM {scores['ssim_y']:.3f}. PSNR is that of RGB "
            "unless it says Y; the paper does not say which it means."
        )
    if len(results) > 1:
        remarks.append("\n".join(_order(table, results)))
    return remarks


def _score(result: Mapping[str, Any], metric: str, side: str) -> float:
    value = result[metric][side]
    return float("inf") if value is None else float(value)


def _line(row: PaperRow, ours: Mapping[str, Any] | None, best: float) -> str:
    paper = f"| {row.method} | {row.psnr:.2f} | {row.ssim:.3f} "
    if ours is None:
        return paper + "| – " * 6 + "|"
    psnr, before = _score(ours, "psnr_rgb", "output"), _score(ours, "psnr_rgb", "input")
    shown = f"**{psnr:.2f}**" if psnr == best else f"{psnr:.2f}"
    return (
        f"{paper}| {shown} | {psnr - before:+.2f} | {_score(ours, 'psnr_y', 'output'):.2f} "
        f"| {_score(ours, 'ssim_y', 'output'):.3f} | {ours['steps']} | {ours['seconds']:.0f} s |"
    )


def _order(table: PaperTable, results: Mapping[str, dict[str, Any]]) -> list[str]:
    """Whether our networks rank as the paper's do, said plainly."""
    there = [row for row in table.ours if row.model in results]

    def ours(row: PaperRow) -> float:
        return _score(results[row.model or ""], "psnr_rgb", "output")

    wanted = sorted(there, key=lambda row: row.psnr)
    found = sorted(there, key=ours)
    lines = [f"Order by PSNR in the paper: {' < '.join(row.method for row in wanted)}."]
    if wanted == found:
        return [*lines, "Ours is the same."]
    pairs = [(a, b) for i, a in enumerate(wanted) for b in wanted[i + 1 :]]
    swapped = [f"{a.method} above {b.method}" for a, b in pairs if ours(a) > ours(b)]
    return [
        *lines,
        f"Ours: {' < '.join(row.method for row in found)}; {len(pairs) - len(swapped)} of "
        f"{len(pairs)} comparisons agree. Against the paper: {', '.join(swapped)}.",
    ]


def _intensity(table: PaperTable, results: Mapping[str, dict[str, Any]]) -> list[str]:
    """PSNR by mean |rainy − clean|, Section 4.6."""
    there = [row for row in table.ours if row.model in results]
    lines = [
        "PSNR over pictures whose mean |rainy − clean|, in levels 0..255, lies in these ranges.",
        "",
        "| intensity | pictures | rainy | " + " | ".join(row.method for row in there) + " |",
        "|---|--:|--:|" + "--:|" * len(there),
    ]
    first = results[there[0].model or ""]
    for number, part in enumerate(first["by_intensity"]):
        values = [
            _score(results[row.model or ""]["by_intensity"][number], "psnr_rgb", "output")
            for row in there
        ]
        before = _score(part, "psnr_rgb", "input")
        cells = " | ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {part['label']} | {part['pairs']} | {before:.2f} | {cells} |")
    return lines


def intensity_plot(table: PaperTable, results: Mapping[str, dict[str, Any]]) -> str:
    """SVG of the PSNR by rain intensity of the rainy pictures and each network (Section 4.6)."""
    there = [row for row in table.ours if row.model in results]
    parts = results[there[0].model or ""]["by_intensity"]
    labels = [b.label for b in BINS if any(part["label"] == b.label for part in parts)]
    series = {"rainy": [_finite(part, "input") for part in parts]}
    for row in there:
        bins = results[row.model or ""]["by_intensity"]
        series[row.method] = [_finite(part, "output") for part in bins]
    return bin_plot(
        "PSNR by rain intensity",
        labels,
        series,
        x_label="mean |rainy − clean| in levels 0..255",
        y_label="PSNR in dB",
    )


def _finite(part: Mapping[str, Any], side: str) -> float | None:
    value: float | None = part["psnr_rgb"][side]
    return value


def complexity_markdown(table: PaperTable, counts: Mapping[str, Complexity]) -> str:
    """Table 6 with our counts."""
    pixels = TABLE6_SIZE**2
    lines = [
        f"# {table_title(table)}",
        "",
        f"At {TABLE6_SIZE}×{TABLE6_SIZE} the paper's multiply-adds are those of every weight used "
        "once a pixel; the table names no size. Ours are fewer for the same result: the first step "
        "of an LSTM has no state to look at, and the D_global inside a DAM serves its loss alone.",
        "",
        "| network | paper: M parameters | ours | paper: G multiply-adds | ours, weights × pixels "
        "| ours, computed |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in table.rows:
        ours, own = counts.get(row.model or ""), "| – | – |"
        parameters = "–"
        if ours is not None:
            parameters = f"{ours.parameters / 1e6:.3f}"
            own = f"| {ours.parameters * pixels / 1e9:.0f} | {ours.multiply_adds / 1e9:.0f} |"
        lines.append(
            f"| {row.method} | {row.parameters or 0:.2f} | {parameters} "
            f"| {(row.operations or 0) * 100:.0f} {own}"
        )
    return "\n".join(lines) + "\n"
