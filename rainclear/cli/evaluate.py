"""``rainclear evaluate``: how well models restore pictures, and what a detector gains."""

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from rainclear.cli.options import Device, Gallery, GateIncluded, HtmlFile, JsonFile, Precision
from rainclear.cli.view import console, frame_progress, show_note

if TYPE_CHECKING:
    from rainclear.evaluation.cases import Case

__all__ = ["app", "restoration"]

app = typer.Typer(no_args_is_help=True, help="Measure models: against the truth, or by detection.")


@app.command()
def restoration(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model by name or folder; may be repeated.", show_default="d-daiam-rt"),
    ] = None,
    rainy: Annotated[
        Path | None, typer.Option(help="Rainy pictures or clips: a folder, a video or a picture.")
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(help="The same without rain, under the same names.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="A public data set; see [bold]rainclear data list[/]."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    split: Annotated[str, typer.Option(help="Part of the data set.")] = "test",
    rain: Annotated[
        str | None,
        typer.Option(metavar="PRESET", help="Rain on --clean: drizzle, moderate, heavy, …"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of that rain.")] = 0,
    frames: Annotated[
        int | None, typer.Option(min=1, help="At most this many frames of each clip.")
    ] = None,
    gate: GateIncluded = False,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
    gallery: Gallery = 6,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Compare derained pictures with the truth: PSNR, SSIM, flicker; LPIPS if it is installed.

    Give --rainy and --clean, or --dataset and --root, or --clean and --rain.
    """
    from rainclear.errors import ConfigError
    from rainclear.evaluation.perceptual import find_lpips
    from rainclear.evaluation.report import ReportFiles, restoration_page
    from rainclear.evaluation.restoration import evaluate
    from rainclear.runtime.derainer import Derainer

    names = model or ["d-daiam-rt"]
    if len(set(names)) < len(names):
        raise ConfigError(f"--model: a model is given twice: {', '.join(names)}")
    cases, subject = _cases(rainy, clean, dataset, root, split, rain, seed, frames)
    subject += ", rain gate" if gate else ""
    derainers = {
        name: Derainer(name, device=device, precision=precision, gate=gate) for name in names
    }
    lpips, note = find_lpips(derainers[names[0]].device)
    with ReportFiles(json_file, html_file) as files:
        counts = [case.frames for case in cases]
        known = [count for count in counts if count is not None]
        total = sum(known) if len(known) == len(counts) else None
        with frame_progress(score=False) as progress:
            bar = progress.add_task("measuring", total=total)
            result = evaluate(
                cases,
                derainers,
                perceptual=lpips,
                gallery=gallery if files.wants_page else 0,
                on_picture=lambda done: progress.update(
                    bar, completed=done, total=total and max(done, total)
                ),
            )
            progress.update(bar, total=len(result.pictures))
        if note:
            result.notes.append(note)
        data = result.as_dict()
        page = restoration_page(result, subject=subject) if files.wants_page else ""
        files.write({**data, "source": subject, "gate": gate}, page)
    for line in result.notes:
        show_note(line)
    _show(data, names)
    for path in (json_file, html_file):
        if path is not None:
            console.print(f"wrote {path}", soft_wrap=True, markup=False)


def _cases(
    rainy: Path | None,
    clean: Path | None,
    dataset: str | None,
    root: Path | None,
    split: str,
    rain: str | None,
    seed: int,
    frames: int | None,
) -> tuple[list["Case"], str]:
    """The cases of one of the three ways to ask for them, and a line that says what they are."""
    from rainclear.errors import ConfigError
    from rainclear.evaluation.cases import dataset_cases, first_frames, paired_cases, rained_cases

    given = {"--rainy": rainy, "--clean": clean, "--dataset": dataset, "--root": root}
    options = {name for name, value in {**given, "--rain": rain}.items() if value is not None}
    if options == {"--rainy", "--clean"} and rainy and clean:
        cases, subject = paired_cases(rainy, clean), f"{rainy} against {clean}"
    elif options == {"--dataset", "--root"} and dataset and root:
        cases, subject = dataset_cases(dataset, root, split), f"{dataset}, {split}: {root}"
    elif options == {"--clean", "--rain"} and clean and rain is not None:
        cases = rained_cases(clean, rain, seed=seed)
        subject = f"{clean} with generated rain {rain!r}, seed {seed}"
    else:
        given_now = f" (given: {', '.join(sorted(options))})" if options else ""
        raise ConfigError(
            "give --rainy and --clean, or --dataset and --root, or --clean and --rain" + given_now
        )
    if frames is not None:
        cases, subject = first_frames(cases, frames), f"{subject}; at most {frames} frames a clip"
    return cases, subject


def _show(data: dict[str, Any], names: list[str]) -> None:
    from rainclear.evaluation.report import TITLES

    shown = [metric for metric in TITLES if data.get(metric) is not None]
    table = Table(box=None, header_style="bold")
    table.add_column(f"{data['pairs']} pictures", no_wrap=True)
    for metric in shown:
        name, unit, _, _ = TITLES[metric]
        table.add_column(f"{name} {unit}".strip(), justify="right")
    table.add_row("rainy", *(_text(data[m]["input"], m) for m in shown))
    for name in names:
        table.add_row(escape(name), *(_change(data["models"][name][m], m) for m in shown))
    console.print(table)
    bins = Table(box=None, header_style="bold", title_justify="left")
    bins.add_column("rain, levels", no_wrap=True)
    bins.add_column("pictures", justify="right")
    bins.add_column("PSNR dB rainy", justify="right")
    for name in names:
        bins.add_column(escape(name), justify="right")
    results = [data["models"][name] for name in names]
    for number, row in enumerate(data["by_intensity"]):
        outputs = (_change(r["by_intensity"][number]["psnr_rgb"], "psnr_rgb") for r in results)
        rainy = _text(row["psnr_rgb"]["input"], "psnr_rgb")
        bins.add_row(row["label"], str(row["pairs"]), rainy, *outputs)
    console.print()
    console.print(bins)


def _text(value: float | None, metric: str) -> str:
    from rainclear.evaluation.report import TITLES

    return "∞" if value is None else f"{value:.{TITLES[metric][2]}f}"


def _change(pair: dict[str, float | None], metric: str) -> str:
    from rainclear.evaluation.report import TITLES

    before, after = pair["input"], pair["output"]
    if before is None or after is None:
        return _text(after, metric)
    _, _, digits, more = TITLES[metric]
    won = after - before
    colour = "green" if (won > 0) == more else "red"
    return f"{after:.{digits}f} [{colour}]{won:+.{digits}f}[/]"


if importlib.util.find_spec("rainclear.cli.evaluate_detection") is not None:
    app.command("detection")(importlib.import_module("rainclear.cli.evaluate_detection").detection)
