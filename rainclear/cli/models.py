"""``rainclear models``."""

from typing import Annotated

import typer
from rich.table import Table

from rainclear.cli.view import console

__all__ = ["models"]


def models(
    name: Annotated[str | None, typer.Argument(help="Show the card of this model.")] = None,
) -> None:
    """List the models that ship with rainclear, or describe one."""
    from rainclear.zoo import find_model, list_models

    if name is not None:
        folder = find_model(name)
        card = folder.path / "README.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else folder.spec.summary
        console.print(text, soft_wrap=True, markup=False)
        return
    table = Table(box=None, header_style="bold")
    for column in ("model", "summary", "weights", "licence"):
        table.add_column(column)
    for folder in list_models():
        weights = folder.weights_path
        size = f"{weights.stat().st_size / 1e6:.1f} MB" if weights and weights.is_file() else "–"
        licence = folder.spec.weights.licence if folder.spec.weights else None
        table.add_row(folder.spec.name, folder.spec.summary, size, licence or "–")
    console.print(table)
