"""What ``rainclear reproduce`` shows on a terminal: the main columns of what it writes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from rainclear.evaluation.paper import PaperTable
    from rainclear.evaluation.reproduced import Complexity

__all__ = ["complexity_table", "intensity_table", "scores_table"]


def scores_table(table: "PaperTable", results: Mapping[str, dict[str, Any]]) -> Table:
    """The paper's rows with our scores; 80 columns hold it.

    Args:
        table: The paper's.
        results: Scores, steps and seconds by model's name.
    """
    shown = _table("network", "paper", "ours", "gain", "Y-PSNR", "Y-SSIM", "steps", "training")
    for row in table.rows:
        ours = results.get(row.model or "")
        if ours is None:
            shown.add_row(row.method, f"{row.psnr:.2f}", *"–" * 6)
            continue
        shown.add_row(
            row.method,
            f"{row.psnr:.2f}",
            _number(ours["psnr_rgb"]["output"]),
            _gain(ours["psnr_rgb"]),
            _number(ours["psnr_y"]["output"]),
            _number(ours["ssim_y"]["output"], 3),
            str(ours["steps"]),
            f"{ours['seconds']:.0f} s",
        )
    return shown


def intensity_table(table: "PaperTable", results: Mapping[str, dict[str, Any]]) -> Table:
    """PSNR by rain intensity: a row for each network, a column for each range that there is."""
    there = [row for row in table.ours if row.model in results]
    bins = results[there[0].model or ""]["by_intensity"]
    shown = _table("PSNR by intensity", *(part["label"] for part in bins))
    shown.add_row("pictures", *(str(part["pairs"]) for part in bins))
    shown.add_row("rainy", *(_number(part["psnr_rgb"]["input"]) for part in bins))
    for row in there:
        own = results[row.model or ""]["by_intensity"]
        shown.add_row(row.method, *(_number(part["psnr_rgb"]["output"]) for part in own))
    return shown


def complexity_table(table: "PaperTable", counts: "Mapping[str, Complexity]") -> Table:
    """Parameters in millions and multiply-adds in billions, the paper's and ours.

    Args:
        table: The paper's.
        counts: Ours, by model's name.
    """
    shown = _table("network", "paper: M par.", "ours", "paper: G mult.-adds", "ours: computed")
    for row in table.rows:
        ours = counts.get(row.model or "")
        shown.add_row(
            row.method,
            f"{row.parameters or 0:.2f}",
            f"{ours.parameters / 1e6:.3f}" if ours else "–",
            f"{(row.operations or 0) * 100:.0f}",
            f"{ours.multiply_adds / 1e9:.0f}" if ours else "–",
        )
    return shown


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float | None, digits: int = 2) -> str:
    """A score; none is that of two pictures that are the same."""
    return "∞" if value is None else f"{value:.{digits}f}"


def _gain(sides: Mapping[str, float | None]) -> str:
    before, after = sides["input"], sides["output"]
    return "–" if before is None or after is None else f"{after - before:+.2f}"
