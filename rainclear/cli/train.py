"""``rainclear train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from rainclear.cli.view import console

if TYPE_CHECKING:
    from rainclear.training.trainer import Progress

__all__ = ["train"]


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe file (.yaml) or a shipped model's name.")],
    data: Annotated[Path, typer.Option(help="Folder with the clean videos and pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. training.optim.lr=2e-4."),
    ] = None,
) -> None:
    """Train a network on clean videos and pictures; the rain is generated.

    OUT becomes a model folder that [bold]rainclear derain --model OUT[/] takes.
    """
    from rainclear.training.run import read_recipe, train_model

    spec = read_recipe(recipe, settings or [])
    with Live(console=console, refresh_per_second=2) as live:
        train_model(spec, data, out, resume=resume, report=lambda p: live.update(_table(p)))
    console.print(f"wrote {out}/model.safetensors", soft_wrap=True, markup=False)


def _table(progress: "Progress") -> Table:
    table = Table(box=None, show_header=False)
    left = (progress.steps - progress.step) * progress.seconds_per_step
    table.add_row("step", f"{progress.step} of {progress.steps}")
    table.add_row(
        "seconds a step", f"{progress.seconds_per_step:.3f}, about {left / 60:.0f} min left"
    )
    for name, value in progress.losses.items():
        table.add_row(name, f"{value:.5f}")
    for name, value in progress.validation.items():
        table.add_row(name, f"{value:.2f} dB", style="cyan")
    return table
