"""``rainclear data``: known data sets, checking a copy, and building the joint set."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rainclear.cli.view import console, errors

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Data sets: list, check, and build the joint set.")


@app.command("list")
def list_kinds(
    kind: Annotated[str | None, typer.Argument(help="Show the layout of this one.")] = None,
) -> None:
    """List the data sets that can be read, or show how one lies on disk."""
    from rainclear.data.layouts import LAYOUTS, find_layout

    if kind is not None:
        layout = find_layout(kind)
        for line in (layout.title, "", layout.tree, "", layout.citation, layout.licence):
            console.print(escape(line), soft_wrap=True)
        return
    table = Table(box=None, header_style="bold")
    table.add_column("kind", no_wrap=True)
    for column in ("holds", "what", "splits"):
        table.add_column(column)
    for layout in LAYOUTS.values():
        holds = "clips" if layout.clips else "pairs"
        table.add_row(layout.kind, holds, escape(layout.title), ", ".join(layout.splits))
    console.print(table)


@app.command()
def check(
    kind: Annotated[str, typer.Argument(help="Kind of data set; see [bold]data list[/].")],
    folder: Annotated[Path, typer.Argument(help="Its folder.")],
    split: Annotated[
        str | None, typer.Option(help="Check this split alone, instead of all there are.")
    ] = None,
) -> None:
    """Find all pairs or clips of a data set, read the first of each split, and say what it has."""
    from rainclear.data.protocol import Clip
    from rainclear.data.readers import open_dataset, open_splits

    if split is None:
        found = open_splits(kind, folder)
    else:
        found = {split: open_dataset(kind, folder, split=split)}
    for name, samples in found.items():
        first = samples[0]
        frame, truth = (first.rainy, first.clean)
        what, length = "pairs", ""
        if isinstance(first, Clip):
            frame, truth = frame[0], truth[0]
            what, length = "clips", f", {len(first)} frames"
        height, width = frame.shape[:2]
        parts = [p for p in type(first).__dataclass_fields__ if p != "name"]
        present = ", ".join(part for part in parts if getattr(first, part) is not None)
        console.print(f"[bold]{escape(name)}[/]  {len(samples)} {what}")
        console.print(
            f"  first  {escape(first.name)}: {width}×{height}{length}; {present}", soft_wrap=True
        )


@app.command()
def jrsrd(
    raindrop: Annotated[Path, typer.Argument(help="The Raindrop set, with train and test_a.")],
    out: Annotated[Path, typer.Argument(help="Folder for the joint set.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the streaks.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make everything anew in a folder that holds a set.")
    ] = False,
) -> None:
    """Build the paper's joint set: four levels of streaks over every Raindrop picture.

    A run that was broken off goes on where it stopped.
    """
    from rainclear.data.jrsrd import build_jrsrd

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )
    with bar:
        task = bar.add_task("pictures", total=None)
        report = build_jrsrd(
            raindrop,
            out,
            seed=seed,
            overwrite=overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(
        f"{escape(str(out))}: {report.train} training and {report.test} test pictures, "
        f"{report.made} made now",
        soft_wrap=True,
    )
