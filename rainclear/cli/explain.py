"""``rainclear explain``."""

from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.options import Device, Model
from rainclear.cli.view import console

__all__ = ["explain"]


def explain(
    picture: Annotated[Path, typer.Argument(help="A rainy picture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")],
    model: Model = "d-daiam-rt",
    device: Device = "auto",
    panel_width: Annotated[
        int, typer.Option(min=300, max=4096, help="Width of each picture on the sheet.")
    ] = 480,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
) -> None:
    """Draw how a network sees a picture: attention, both decoders, differential maps, result."""
    from rainclear.evaluation.explain import explain_file

    explain_file(
        picture, out, model=model, device=device, panel_width=panel_width, overwrite=overwrite
    )
    console.print(f"wrote {out}", soft_wrap=True, markup=False)
