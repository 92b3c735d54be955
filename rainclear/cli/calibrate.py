"""``rainclear calibrate``."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperCommand

from rainclear.cli.options import Device, Model, Precision
from rainclear.cli.view import console, frame_progress, show_note
from rainclear.errors import ConfigError

if TYPE_CHECKING:
    from rainclear.evaluation.calibrate import Calibration

__all__ = ["CalibrateCommand", "calibrate"]

_TARGET = 0.95
_LISTS = ("--clean", "--rainy", "--rain")


class CalibrateCommand(TyperCommand):
    """Takes ``--clean a b c`` for ``--clean a --clean b --clean c``, as shells expand globs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values."""
        return super().parse_args(ctx, _repeated(args))


def _repeated(args: Sequence[str]) -> list[str]:
    result: list[str] = []
    option: str | None = None
    for arg in args:
        if arg.startswith("-") and arg != "-":
            option = arg if arg in _LISTS else None
            if option is None:
                result.append(arg)
        elif option is not None:
            result += [option, arg]
        else:
            result.append(arg)
    return result


def calibrate(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.yaml", help="File to write the gate to."),
    ] = None,
    clean: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILES...", help="Videos, pictures or folders without rain."),
    ] = None,
    rainy: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILES...", help="Videos, pictures or folders with rain."),
    ] = None,
    rain: Annotated[
        list[str] | None,
        typer.Option(metavar="PRESETS...", help="Rain on the clean files with these presets."),
    ] = None,
    model: Model = "d-daiam-rt",
    install: Annotated[
        bool,
        typer.Option("--install", help="Write the gate into the model's own model.yaml as well."),
    ] = False,
    frames: Annotated[int, typer.Option(min=1, help="Frames taken of each video.")] = 40,
    hold: Annotated[
        int, typer.Option(min=1, help="Dry frames in a row after which an open gate closes.")
    ] = 12,
    target: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=1.0,
            help="Exit with status 1 if fewer of the clean or rainy frames are got right; without "
            "it a note says so below 0.95.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated rain.")] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
) -> None:
    """Find the thresholds of the rain gate: dry frames pass untouched, rainy ones are derained.

    Use footage of your own camera; without rainy footage, --rain rains on the clean one. The gate
    is written even where it misses the target.
    """
    if out is None and not install:
        raise ConfigError("say where the gate goes: -o FILE.yaml, or --install into the model")
    if not clean or not (rainy or rain):
        raise ConfigError("calibration needs --clean FILES and --rainy FILES or --rain PRESET")

    from rainclear.evaluation.calibrate import calibrate as fit
    from rainclear.evaluation.gate_file import check_free, write_gate
    from rainclear.evaluation.rain_samples import RainSample, collect_samples
    from rainclear.zoo import find_model

    folder = find_model(model)
    folder.checked_weights()
    if out is not None:
        check_free(out, overwrite=overwrite)
    with frame_progress(score=False) as progress:
        bar = progress.add_task("measuring", total=None)

        def on_sample(sample: RainSample, total: int) -> None:
            progress.update(bar, advance=1, total=total, description=sample.name)

        samples = collect_samples(
            model,
            clean=clean,
            rainy=rainy or (),
            rain=rain or (),
            frames=frames,
            seed=seed,
            device=device,
            precision=precision,
            on_sample=on_sample,
        )
    assert folder.spec.weights is not None
    result = fit(samples, weights_sha256=folder.spec.weights.sha256, hold=hold)
    _show(result)
    for path in (out, folder.path / "model.yaml" if install else None):
        if path is not None:
            write_gate(path, result.gate, overwrite=overwrite)
            console.print(f"wrote {path}", soft_wrap=True, markup=False)
    wanted = _TARGET if target is None else target
    if min(result.passed, result.caught) < wanted:
        show_note(f"the gate misses the target of {wanted:.0%}")
        raise typer.Exit(target is not None)


def _show(result: "Calibration") -> None:
    table = Table(box=None, header_style="bold")
    for column in ("file", "rain"):
        table.add_column(column)
    for column in ("frames", "score", "derained"):
        table.add_column(column, justify="right")
    for row in result.rows:
        table.add_row(row.name, row.rain, str(row.frames), f"{row.score:.3f}", f"{row.open:.0%}")
    console.print(table)
    for what, share, held_out in (
        ("clean frames untouched", result.passed, result.passed_held_out),
        ("rainy frames derained", result.caught, result.caught_held_out),
    ):
        beside = "" if math.isnan(held_out) else f" ({held_out:.1%} on scenes held out)"
        console.print(f"{what}: {share:.1%}{beside}", soft_wrap=True)
