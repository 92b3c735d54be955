"""``rainclear doctor``."""

import json
import re
from typing import Annotated, Any

import typer
from rich.table import Table

from rainclear.cli.options import Device, Model, Precision
from rainclear.cli.view import console
from rainclear.errors import ConfigError

__all__ = ["doctor", "parse_size"]

_LONGEST = 16384


def parse_size(text: str, *, rows_first: bool = False) -> tuple[int, int]:
    """Height and width from ``1280x720``, or from ``720x1280`` where ``rows_first``.

    Raises:
        ConfigError: It is not two numbers with an x between, or out of range.
    """
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.strip().lower())
    numbers = [int(number) for number in match.groups()] if match else []
    if not numbers or not all(1 <= n <= _LONGEST for n in numbers):
        example = "HEIGHTxWIDTH such as 720x1280" if rows_first else "WIDTHxHEIGHT such as 1280x720"
        raise ConfigError(f"--size {text!r}: write it as {example}")
    return (numbers[0], numbers[1]) if rows_first else (numbers[1], numbers[0])


def doctor(
    model: Model = "d-daiam-rt",
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the frames.")] = "1280x720",
    device: Device = "auto",
    precision: Precision = "auto",
    measure: Annotated[
        bool, typer.Option("--measure", help="Time the backends now and remember the fastest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show devices, processor features, packages, and the backend that auto would choose."""
    from rainclear.runtime.backends.doctor import examine

    found = examine(model, size=parse_size(size), device=device, precision=precision, run=measure)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _show(found)


def _show(found: dict[str, Any]) -> None:
    machine = found["machine"]
    features = [name for name, has in machine["features"].items() if has]
    packages = [f"{name} {v}" for name, v in machine["packages"].items() if v]
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    cores = f"{machine['cores']} cores, {machine['threads']} threads"
    table.add_row("processor", f"{machine['processor']} ({cores})")
    table.add_row("features", ", ".join(features) or "none known")
    table.add_row("GPUs", ", ".join(machine["gpus"]) or "none")
    table.add_row("packages", ", ".join(packages))
    table.add_row("cache", found["cache"] or "none: choices are forgotten at the end of a run")
    for name, state in found["backends"].items():
        word = f"yes, {state['precision']}" if state["usable"] else f"no: {state['why']}"
        table.add_row(name, word)
    auto = found["auto"]
    height, width = found["size"]
    table.add_row(f"auto, {width}x{height}", f"{auto['backend']}: {auto['reason']}")
    if auto["measured"]:
        load = "" if auto["load"] is None else f", at a load of {auto['load']:.1f} before"
        table.add_row("", f"measured {auto['measured']}{load}")
    for row in auto["timings"]:
        time = f"{row['ms']:.1f} ms" if row["ms"] is not None else row["problem"]
        table.add_row("", f"{row['backend']} {row['precision']} {time}")
    console.print(table, markup=False)
