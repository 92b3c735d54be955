"""``rainclear reproduce``: the paper's tables with our figures beside them."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live

from rainclear.cli.reproduce_tables import complexity_table, intensity_table, scores_table
from rainclear.cli.view import console, write_text
from rainclear.errors import ConfigError

if TYPE_CHECKING:
    from rainclear.data.experiment import Experiment
    from rainclear.evaluation.paper import PaperTable
    from rainclear.training.progress import Progress
    from rainclear.training.reproduce import Budget

__all__ = ["parse_duration", "reproduce"]

_BUDGET = "30m"
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_IDLE = {
    "table6": ("--data", "--budget", "--steps", "--pictures", "--device"),
    "figure1": ("--budget", "--steps", "--width", "--set", "--device"),
}
"""Options that a table that is not trained, or the figure, has no use for."""


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``30m``, ``2h`` or ``1h30m``.

    Raises:
        ConfigError: It is none of these, or nothing.
    """
    found = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(g or 0) for g in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise ConfigError(f"--budget {text!r}: write it as 90s, 30m, 2h or 1h30m")
    return float(total)


def reproduce(
    table: Annotated[str, typer.Argument(help="table4, table5, table6, table7 or figure1.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="The paper's data set (JRSRD, Rain100H, Raindrop), or clean pictures and videos "
            "to rain on."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; reproduce-TABLE by default.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Training time for all rows together, shared equally.", show_default=_BUDGET
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of every row, instead of a time.")
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="Score this many test pictures, instead of all.")
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, help="Channels of the encoders; the paper's are 32.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override in every row's recipe."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train and score the rows of one of the paper's tables, each with the same budget.

    Writes table.md, results.json and intensity.svg, and a model folder a row. A run that was broken
    off goes on where it stopped.
    """
    from rainclear.evaluation.paper import TABLES, find_table

    if table not in TABLES and table != "figure1":
        raise ConfigError(f"no table named {table!r}; there are: {', '.join(TABLES)}, figure1")
    given = {
        "--data": data,
        "--budget": budget,
        "--steps": steps,
        "--pictures": pictures,
        "--width": width,
        "--set": settings,
        "--device": None if device == "auto" else device,
    }
    idle = [name for name in _IDLE.get(table, ()) if given[name] is not None]
    if idle:
        raise ConfigError(f"{table} has no use for {', '.join(idle)}; leave it out")
    if budget is not None and steps is not None:
        raise ConfigError("give --budget or --steps, not both")
    folder = out or Path(f"reproduce-{table}")
    overrides = [*(settings or []), *([f"architecture.options.width={width}"] if width else [])]
    if table == "table6":
        _count(find_table(table), folder, overrides)
        return
    if data is None:
        raise ConfigError(f"{table} needs --data DIR: a data set, or clean pictures to rain on")
    if table == "figure1":
        _figure1(data, folder, pictures or 12)
        return
    found = find_table(table)
    seconds = None if steps else parse_duration(budget or _BUDGET)
    _train(found, data, folder, steps, seconds, overrides, pictures, device)


def _train(
    table: "PaperTable",
    data: Path,
    out: Path,
    steps: int | None,
    seconds: float | None,
    overrides: list[str],
    pictures: int | None,
    device: str,
) -> None:
    from rainclear.data.experiment import open_experiment
    from rainclear.evaluation.reproduced import (
        intensity_plot,
        score_model,
        table_markdown,
        table_remarks,
        table_title,
    )
    from rainclear.runtime.device import resolve_device
    from rainclear.training.fabric import OneDevice
    from rainclear.training.reproduce import Budget, train_entries

    experiment, budget = open_experiment(data, table.kind), Budget(steps=steps, seconds=seconds)
    said = _said(budget, len(table.ours), overrides)
    test = experiment.some(pictures)
    results: dict[str, dict[str, Any]] = {}
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        trained = train_entries(
            _entries(table, overrides),
            experiment,
            out,
            budget,
            devices=OneDevice(resolve_device(device)),
            report=lambda name, progress: live.update(_status(name, progress)),
        )
        for row in trained:
            kept = out / row.name / f"scores-{len(test)}.json"
            if kept.is_file():
                results[row.name] = json.loads(kept.read_text(encoding="utf-8"))
            else:
                live.update(f"{row.name}: scoring {len(test)} pictures")
                scores = score_model(row.folder, test, device=device)
                results[row.name] = {**scores, "steps": row.steps, "seconds": row.seconds}
                write_text(kept, json.dumps(results[row.name], indent=1))
            markdown = table_markdown(table, results, source=experiment.source, budget=said)
            write_text(out / "table.md", markdown)
            write_text(out / "intensity.svg", intensity_plot(table, results))
            write_text(out / "results.json", _json(table, experiment, said, results))
    console.print(table_title(table), style="bold")
    console.print(scores_table(table, results))
    console.print(*table_remarks(table, results), sep="\n", markup=False)
    if len(results) > 1:
        console.print(intensity_table(table, results))
    console.print(f"wrote {out}/table.md, results.json, intensity.svg", markup=False)


def _entries(table: "PaperTable", overrides: list[str]) -> list[Any]:
    from rainclear.training.reproduce import Entry
    from rainclear.training.run import read_recipe

    names = [str(row.model) for row in table.ours]
    return [Entry(name=name, spec=read_recipe(name, overrides)) for name in names]


def _said(budget: "Budget", rows: int, overrides: list[str]) -> str:
    if budget.steps is not None:
        text = f"{budget.steps} steps for each network, over the same pictures in the same order"
    else:
        total = budget.seconds or 0.0
        text = f"{total / rows:.0f} s of training for each network, {total / 60:g} min in all"
    return text + (f"; set: {', '.join(overrides)}" if overrides else "")


def _status(name: str, progress: "Progress") -> str:
    loss = sum(progress.losses.values())
    return (
        f"{name}: step {progress.step} of {progress.steps}, loss {loss:.4f}, about "
        f"{progress.seconds_left / 60:.0f} min left"
    )


def _json(
    table: "PaperTable", data: "Experiment", budget: str, results: dict[str, dict[str, Any]]
) -> str:
    rows = [
        {
            "method": row.method,
            "model": row.model,
            "paper": {"psnr": row.psnr, "ssim": row.ssim},
            "ours": results.get(row.model or ""),
        }
        for row in table.rows
    ]
    value = {"table": table.name, "data": data.source, "budget": budget, "rows": rows}
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _count(table: "PaperTable", out: Path, overrides: list[str]) -> None:
    from rainclear.evaluation.reproduced import (
        TABLE6_SIZE,
        complexity,
        complexity_markdown,
        table_title,
    )
    from rainclear.training.run import read_recipe

    counts = {
        str(row.model): complexity(
            read_recipe(str(row.model), overrides), height=TABLE6_SIZE, width=TABLE6_SIZE
        )
        for row in table.ours
    }
    write_text(out / "table.md", complexity_markdown(table, counts))
    values = {
        name: {"parameters": c.parameters, "multiply_adds": c.multiply_adds}
        for name, c in counts.items()
    }
    write_text(
        out / "results.json", json.dumps({"size": TABLE6_SIZE, "networks": values}, indent=1)
    )
    console.print(table_title(table), style="bold")
    console.print(complexity_table(table, counts))
    console.print(f"multiply-adds at {TABLE6_SIZE}×{TABLE6_SIZE}; table.md says more", markup=False)
    console.print(f"wrote {out}/table.md and results.json", markup=False)


def _figure1(data: Path, out: Path, pictures: int) -> None:
    from rainclear.data.experiment import intensity_points, open_experiment
    from rainclear.evaluation.plot import point_plot

    experiment = open_experiment(data, "joint")
    points = intensity_points([pair.clean for pair in experiment.some(pictures)])
    plot = point_plot(
        "Pixel difference by rain intensity (Fig. 1b)",
        points,
        x_label="share of noise that the streaks are made of",
        y_label="mean |rainy − clean| in levels 0..255",
    )
    write_text(out / "figure1b.svg", plot)
    write_text(out / "figure1b.json", json.dumps({"points": points}, indent=1))
    console.print(f"wrote {out}/figure1b.svg and figure1b.json", markup=False)
