"""``rainclear evaluate detection``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from rainclear.cli.options import Device, Gallery, GateIncluded, HtmlFile, JsonFile, Precision
from rainclear.cli.view import console, frame_progress, show_note

if TYPE_CHECKING:
    from rainclear.evaluation.detection_scores import DetectionEvaluation

__all__ = ["detection"]


def detection(
    images: Annotated[
        Path, typer.Option(help="Folder of rainy pictures, or of clean ones with --rain.")
    ],
    labels: Annotated[
        Path, typer.Option(help="YOLO or KITTI text files, or a COCO .json; see the docs.")
    ],
    detector: Annotated[
        str,
        typer.Option(help="A .pt, .onnx, OpenVINO folder, .yaml, or torchvision:NAME@WEIGHTS."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model by name or folder, or none; may be repeated.", show_default="d-daiam-rt"
        ),
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(help="Folder of the clean pictures, under the same names.")
    ] = None,
    rain: Annotated[
        str | None,
        typer.Option(metavar="PRESET", help="Rain on --images: drizzle, moderate, heavy, …"),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=1, max=50, help="Rains on each picture, with --rain.")
    ] = 1,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CLASS,…", help="Count classes as one, such as vehicle=car,truck,bus."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Measure this class alone; may be repeated."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=32, help="Longer side of the detector's input.")
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Boxes of a lower score are dropped.")
    ] = 0.001,
    resamples: Annotated[
        int, typer.Option(min=100, help="Sets of pictures drawn for the intervals.")
    ] = 1000,
    gate: GateIncluded = False,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
    gallery: Gallery = 6,
    device: Device = "auto",
    precision: Precision = "auto",
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Let a .pt of your own run code while it is read."),
    ] = False,
) -> None:
    """Measure what deraining does to a detector: mAP clean, rainy and derained.

    The gain comes with a 95 % interval over pictures, and with what clean pictures lose by the
    model.
    """
    from rainclear.detection import load_detector
    from rainclear.errors import ConfigError
    from rainclear.evaluation.classes import parse_merges
    from rainclear.evaluation.detection import evaluate_detection
    from rainclear.evaluation.detection_page import detection_page
    from rainclear.evaluation.detection_scores import NO_MODEL
    from rainclear.evaluation.detection_set import open_detection_set
    from rainclear.evaluation.detection_shots import best_and_worst
    from rainclear.evaluation.labels import read_labels
    from rainclear.evaluation.report import ReportFiles
    from rainclear.runtime.derainer import Derainer

    if clean is not None and rain is not None:
        raise ConfigError("--clean and --rain exclude each other: with --rain, --images are clean")
    names = model or ["d-daiam-rt"]
    if len(set(names)) < len(names):
        raise ConfigError(f"--model: a model is given twice: {', '.join(names)}")
    merges = parse_merges(merge or [])
    with ReportFiles(json_file, html_file) as files:
        pictures = open_detection_set(
            images, read_labels(labels), clean=clean, rain=rain, draws=draws
        )
        if pictures.left_out:
            show_note(pictures.left_out)
        derainers = {
            name: None
            if name == NO_MODEL
            else Derainer(name, device=device, precision=precision, gate=gate)
            for name in names
        }
        finder = load_detector(
            detector, device=device, confidence=confidence, size=size, trust_pickle=trust_pickle
        )
        with frame_progress(score=False) as progress:
            bar = progress.add_task("measuring", total=len(pictures))
            result = evaluate_detection(
                pictures,
                finder,
                derainers,
                merges=merges,
                only=only or (),
                resamples=resamples,
                on_picture=lambda done: progress.update(bar, completed=done),
            )
        page = ""
        subject = f"{images}, {Path(detector).name}" + (f", rain {rain!r}" if rain else "")
        subject += ", rain gate" if gate else ""
        if files.wants_page:
            first = next(((n, d) for n, d in derainers.items() if d is not None), None)
            best, worst = best_and_worst(result, *first, size=gallery) if first else ([], [])
            page = detection_page(result, subject=subject, best=best, worst=worst)
        about = {"detector": detector, "source": str(images), "gate": gate}
        files.write({**result.as_dict(), **about}, page)
    _show(result)
    for path in (json_file, html_file):
        if path is not None:
            console.print(f"wrote {path}", soft_wrap=True, markup=False)


_WIDTHS = {
    "mAP50-95": 8,
    "mAP50": 6,
    "gain": 7,
    "95 % interval": 15,
    "recovered": 9,
    "dry": 7,
}


def _show(result: "DetectionEvaluation") -> None:
    table = Table(box=None, header_style="bold")
    # All of it fits into 80 columns: figures are never cut off, a long name is.
    table.add_column(result.extent.replace(" ×", "\n×"), no_wrap=True, overflow="ellipsis")
    for column in _WIDTHS:
        table.add_column(column, justify="right", no_wrap=True, min_width=_WIDTHS[column])
    for name, score in (("clean", result.clean), ("rainy", result.rainy)):
        if score is not None:
            table.add_row(name, f"{score.map50_95:.4f}", f"{score.map50:.4f}")
    for name, model in result.models.items():
        low, high = model.gain_ci95
        table.add_row(
            escape(name),
            f"{model.score.map50_95:.4f}",
            f"{model.score.map50:.4f}",
            _signed(model.gain),
            f"{low:+.3f} … {high:+.3f}",
            "–" if model.recovered is None else f"{model.recovered:.0%}",
            "–" if model.dry_regression is None else _signed(model.dry_regression),
        )
    console.print(table)
    for line in result.passed:
        console.print(line, markup=False)
    each = Table(box=None, header_style="bold")
    each.add_column("mAP50-95 of", no_wrap=True)
    each.add_column("boxes", justify="right")
    for column in ("clean", "rainy") if result.clean else ("rainy",):
        each.add_column(column, justify="right")
    for name in result.models:
        each.add_column(escape(name), justify="right")
    for label in result.classes.names:
        plain = [score for score in (result.clean, result.rainy) if score is not None]
        each.add_row(
            escape(label),
            f"{result.rainy.per_class[label]['boxes']:.0f}",
            *(f"{score.per_class[label]['map50_95']:.4f}" for score in plain),
            *(
                f"{m.score.per_class[label]['map50_95']:.4f} {_signed(m.per_class[label]['gain'])}"
                for m in result.models.values()
            ),
        )
    console.print()
    console.print(each)


def _signed(value: float) -> str:
    colour = "green" if value > 0 else "red" if value < 0 else "default"
    return f"[{colour}]{value:+.4f}[/]"
