"""``rainclear derain`` for videos, pictures and folders of them on this machine."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rainclear.cli.long_jobs import batch_table, refuse_pictures, resume_with, show_kept
from rainclear.cli.view import (
    console,
    errors,
    follow,
    frame_progress,
    show_error,
    show_note,
    write_json,
)
from rainclear.errors import RainclearError

if TYPE_CHECKING:
    from rich.progress import Progress

    from rainclear.runtime.batch import BatchReport
    from rainclear.runtime.options import DerainerOptions, JobOptions
    from rainclear.runtime.plan import Task
    from rainclear.runtime.report import JobReport, OnFrame

__all__ = ["derain_files"]


def derain_files(
    inputs: Sequence[Path],
    out: Path,
    settings: "DerainerOptions",
    options: "JobOptions",
    *,
    resume: bool,
    segment: int | None,
    sidecar: Path | None,
    report: Path | None,
) -> None:
    """Derain one after the other, and show how it goes; a file that fails does not stop the rest.

    Args:
        inputs: Videos, pictures and folders.
        out: File or folder to write to.
        settings: With what to derain.
        options: What to derain of each file, and how the outputs are made.
        resume: Work in segments, and go on where an earlier run was stopped.
        segment: Frames of a segment; ``None`` for the usual.
        sidecar: File for the rain of every frame.
        report: File for the figures of the run.
    """
    from rainclear.runtime.batch import derain_batch
    from rainclear.runtime.plan import plan
    from rainclear.runtime.sidecar import Sidecar

    # An output that exists is no error for a job that goes on: it is finished.
    tasks = plan(inputs, out, overwrite=options.overwrite or resume)
    if options.part is not None or options.stream is not None:
        refuse_pictures(tasks)
    derainer = settings.open()
    lines = Sidecar(sidecar, overwrite=options.overwrite) if sidecar else nullcontext()
    with lines as readings, frame_progress() as progress:
        view = _View(progress, many=len(tasks) > 1, resume=resume)
        try:
            batch = derain_batch(
                tasks,
                derainer,
                options,
                resume=resume_with(settings, segment) if resume else None,
                sidecar=readings,
                make_folders=len(tasks) > 1 or out != tasks[0].output,
                on_start=view.start,
                on_done=view.done,
            )
        except KeyboardInterrupt:
            if resume:
                for task in tasks:
                    show_kept(task.output)
            raise
    if report is not None:
        write_json(report, _figures(batch))
    if batch.failed and len(tasks) == 1:
        raise batch.failed[0][1]
    for task in batch.skipped:
        if sidecar is not None:
            show_note(f"{task.source}: was derained before, its frames are not in {sidecar}")
    _tell(batch, many=len(tasks) > 1, gated=derainer.gated)
    if batch.failed:
        errors.print(f"{len(batch.failed)} of {len(tasks)} files failed", soft_wrap=True)
        raise typer.Exit(1)


class _View:
    """A bar for each file; notes and errors as they come."""

    def __init__(self, progress: "Progress", *, many: bool, resume: bool) -> None:
        self._progress, self._many, self._resume = progress, many, resume

    def start(self, task: "Task") -> "OnFrame":
        return follow(self._progress, task.source.name)[1]

    def done(self, task: "Task", result: "JobReport | RainclearError") -> None:
        bar = self._progress.tasks[-1]
        if not isinstance(result, RainclearError):
            self._progress.update(bar.id, completed=result.frames, total=result.frames)
            for note in result.notes:
                show_note(f"{task.source}: {note}")
            return
        if self._resume and bar.completed:
            show_kept(task.output)
        if self._many:
            show_error(result)


def _tell(batch: "BatchReport", *, many: bool, gated: bool) -> None:
    if many:
        console.print(batch_table(batch), soft_wrap=True, markup=False)
        return
    for done in batch.done:
        console.print(
            f"{done.output}: {done.frames} frames, {done.fps:.1f} fps, "
            f"rain score {done.rain_score_mean:.2f}"
            + (f", {done.dry_frames} dry frames untouched" if gated else ""),
            soft_wrap=True,
            markup=False,
        )
    for task in batch.skipped:
        console.print(f"{task.output}: is finished already", soft_wrap=True, markup=False)


def _figures(batch: "BatchReport") -> dict[str, Any]:
    """The report of the run: of one file its own, of several their sums and each of them."""
    files = [done.as_dict() for done in batch.done]
    if len(files) == 1 and not batch.failed:
        return files[0]
    frames = sum(f["frames"] for f in files)
    seconds = sum(f["seconds"] for f in files)
    stages = {s: sum(f["stage_seconds"][s] for f in files) for s in ("decode", "model", "encode")}
    return {
        "frames": frames,
        "seconds": seconds,
        "fps": frames / seconds if seconds else 0.0,
        "stage_seconds": stages,
        "rain_score_mean": sum(f["rain_score_mean"] * f["frames"] for f in files) / max(1, frames),
        "peak_rss_mb": max((f["peak_rss_mb"] for f in files), default=0.0),
        "files": files,
        "failed": [{"input": str(task.source), "error": str(e)} for task, e in batch.failed],
        "skipped": [str(task.source) for task in batch.skipped],
    }
