"""``rainclear train``."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rainclear.cli.view import console
from rainclear.errors import ConfigError

if TYPE_CHECKING:
    from rainclear.training.progress import Progress

__all__ = ["train"]

_PAUSE = 30.0
"""Seconds between two plain lines."""

_ACROSS = 3
"""Columns of losses and scores."""

_FIRST = ("score", "gain", "output", "dry")
"""Scores that come before the others."""

_SHARES = ("temporal", "ssim", "iou")
"""Scores that are no dB."""


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe file (.yaml) or a shipped model's name.")],
    data: Annotated[Path, typer.Option(help="Folder with the clean videos and pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. optim.lr=2e-4."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="Number format; the recipe's by default."),
    ] = None,
    accelerator: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Kind of device.")
    ] = "auto",
    devices: Annotated[
        int | None, typer.Option(min=1, help="Devices of this machine; one by default.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="Machines; start this command on each.")
    ] = None,
    tensorboard: Annotated[
        bool | None,
        typer.Option("--tensorboard/--no-tensorboard", help="By default if it is installed."),
    ] = None,
) -> None:
    """Train a network on clean videos and pictures; the rain is generated.

    OUT becomes a model folder that [bold]rainclear derain --model OUT[/] takes, with checkpoints,
    logs and report.html. Ctrl-C saves first; [bold]--resume[/] goes on.
    """
    import torch

    from rainclear.training.run import read_recipe, train_model

    overrides = [*(settings or []), *([f"training.precision={precision}"] if precision else [])]
    spec = read_recipe(recipe, overrides)
    if spec.training is not None and spec.training.dual_pixel is not None:
        from rainclear.training.dual_pixel_run import train_dual_pixel

        if devices or nodes:
            raise ConfigError(f"{recipe} trains on one device; leave out --devices and --nodes")
        with _View() as view:
            train_dual_pixel(
                spec,
                data,
                out,
                resume=resume,
                report=view,
                accelerator=accelerator,
                tensorboard=tensorboard,
            )
        console.print(f"wrote {out}/model.safetensors", soft_wrap=True, markup=False)
        return
    with _View() as view:
        train_model(
            spec,
            data,
            out,
            resume=resume,
            report=view,
            accelerator=accelerator,
            devices=devices,
            nodes=nodes,
            tensorboard=tensorboard,
        )
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        console.print(f"wrote {out}/model.safetensors", soft_wrap=True, markup=False)


class _View:
    """A live table on a terminal; elsewhere a line at each validation and every half minute."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._said = time.monotonic()
        self._scores: dict[str, float] = {}

    def __enter__(self) -> "_View":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: "Progress") -> None:
        if console.is_terminal:
            if self._live is None:  # only in the process that has something to tell
                self._live = Live(console=console, refresh_per_second=2)
                self._live.start()
            self._live.update(_table(progress))
            return
        new = progress.validation is not self._scores and bool(progress.validation)
        if new or time.monotonic() - self._said > _PAUSE or progress.step >= progress.steps:
            self._said, self._scores = time.monotonic(), progress.validation
            console.print(_line(progress), soft_wrap=True, markup=False)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _line(progress: "Progress") -> str:
    parts = [
        f"step {progress.step}/{progress.steps}",
        f"loss {sum(progress.losses.values()):.5f}",
        *(f"{name} {value:.2f}" for name, value in progress.validation.items()),
        f"{progress.seconds_per_step:.3f} s/step",
        f"waiting {progress.waiting_share:.0%}",
        f"ETA {_duration(progress.seconds_left)}",
    ]
    return "  ".join(parts)


def _score(name: str, value: float) -> str:
    """With its unit: all scores are PSNR or its gain in dB, but for a few that are shares."""
    return f"{value:.3f}" if name in _SHARES else f"{value:.2f} dB"


def _columns(cells: list[tuple[str, str]]) -> Table:
    """Names and values side by side in three columns, which fit 80 characters."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(_ACROSS):
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, justify="right")
    for i in range(0, len(cells), _ACROSS):
        grid.add_row(*(text for cell in cells[i : i + _ACROSS] for text in cell))
    return grid


def _table(progress: "Progress") -> Group:
    """At most 24 lines of 80 characters, what matters most first: Rich cuts off the rest."""
    scores = progress.validation
    kinds = [name.removeprefix("input_") for name in scores if name.startswith("input_")]
    kinds = [kind for kind in kinds if f"output_{kind}" in scores]
    pairs = {side + kind for kind in kinds for side in ("input_", "output_")}
    done = progress.step / max(1, progress.steps)
    parts: list[Text | Table] = [
        Text(
            f"step {progress.step} of {progress.steps} ({done:.0%})   "
            f"time left {_duration(progress.seconds_left)}",
            style="bold",
        )
    ]
    if scores:
        first = {name: scores[name] for name in _FIRST if name in scores} | scores
        cells = [(name, _score(name, value)) for name, value in first.items() if name not in pairs]
        if math.isfinite(progress.best):
            cells.insert(0, ("best", f"{progress.best:.2f} dB"))
        parts += [Text("validation", style="cyan"), _columns(cells)]
    if kinds:
        shown = [(k, f"{scores[f'input_{k}']:.2f} → {scores[f'output_{k}']:.2f}") for k in kinds]
        parts += [Text("PSNR of input → output, dB", style="cyan"), _columns(shown)]
    parts.append(
        Text(
            f"{progress.seconds_per_step:.3f} s a step, {progress.waiting_share:.0%} of it "
            f"waiting for data   learning rate {progress.lr:.2e}"
        )
    )
    parts.append(Text(f"losses, total {_loss(sum(progress.losses.values()))}", style="cyan"))
    parts.append(_columns([(name, _loss(value)) for name, value in progress.losses.items()]))
    return Group(*parts)


def _loss(value: float) -> str:
    """In nine characters at most."""
    if abs(value) < 10:
        return f"{value:.5f}"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.3g}"
