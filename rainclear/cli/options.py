"""Options that several commands have in common; each command sets its defaults."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Device",
    "Gallery",
    "Gate",
    "GateIncluded",
    "GateSettings",
    "HtmlFile",
    "JsonFile",
    "Model",
    "Overwrite",
    "Precision",
]

Model = Annotated[str, typer.Option(help="Model by name or folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]

GateIncluded = Annotated[
    bool,
    typer.Option("--gate/--no-gate", help="Pass pictures that the model's rain gate finds dry."),
]
Gate = Annotated[
    bool | None,
    typer.Option(
        "--gate/--no-gate",
        help="Let dry frames pass untouched, bit for bit.",
        show_default="gate, if the model has one",
    ),
]
GateSettings = Annotated[
    Path | None,
    typer.Option(metavar="FILE.yaml", help="Rain gate written by [bold]rainclear calibrate[/]."),
]

# Of rainclear evaluate.
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write all scores as JSON.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a report as one page.")
]
Gallery = Annotated[
    int, typer.Option(min=0, help="Best and worst pictures shown on the page, of each.")
]
