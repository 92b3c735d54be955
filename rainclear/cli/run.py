"""``rainclear run``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rainclear.cli.options import Overwrite
from rainclear.cli.view import console, follow, frame_progress, show_note

if TYPE_CHECKING:
    from rainclear.pipeline import Pipeline

__all__ = ["run", "run_and_show"]


def run(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="A .yaml file, or the name of a shipped one.")
    ],
    source: Annotated[
        str | None,
        typer.Option(metavar="INPUT", help="Video, picture, URL or number of a camera."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting: detect.weights=yolo11n.pt."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the outputs.")
    ] = Path("."),
    overwrite: Overwrite = False,
) -> None:
    """Run a pipeline: from a source through derain, detect and track to its sinks."""
    from rainclear.errors import OutputError
    from rainclear.pipeline import Pipeline, find_pipeline

    spec = find_pipeline(pipeline, assignments)
    if not out.is_dir():
        raise OutputError(f"{out}: no such folder; make it first")
    run_and_show(Pipeline(spec, source=source), out, overwrite=overwrite)


def run_and_show(pipeline: "Pipeline", folder: Path, *, overwrite: bool) -> None:
    """Run a pipeline with a progress bar, and print what came out."""
    with frame_progress() as progress:
        _, on_frame = follow(progress, str(pipeline.spec.source.path))
        report = pipeline.run(folder, overwrite=overwrite, on_frame=on_frame)
    for note in report.notes:
        show_note(note)
    parts = [f"{report.frames} frames, {report.fps:.1f} fps"]
    if pipeline.spec.detect:
        parts.append(f"{report.objects} objects")
    if report.won or report.lost:
        parts.append(f"{report.won} won and {report.lost} lost by deraining")
    if report.dry_frames:
        parts.append(f"{report.dry_frames} dry frames untouched")
    console.print(", ".join(parts), soft_wrap=True, markup=False)
    for path in report.outputs:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
