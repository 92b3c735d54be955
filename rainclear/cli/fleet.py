"""``rainclear derain --engine``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rainclear.cli.view import (
    console,
    errors,
    follow,
    frame_progress,
    show_error,
    show_note,
    write_json,
)
from rainclear.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from rainclear.fleet.plan import FleetTask
    from rainclear.fleet.pool import Watch, WorkerLost
    from rainclear.fleet.run import FleetReport
    from rainclear.fleet.worker import WorkerInfo
    from rainclear.runtime.options import DerainerOptions, JobOptions
    from rainclear.runtime.report import OnFrame

__all__ = ["derain_on_engine"]


def derain_on_engine(
    inputs: Sequence[Path],
    out: Path,
    settings: "DerainerOptions",
    options: "JobOptions",
    *,
    engine: str,
    address: str | None,
    workers: int | None,
    sidecar: Path | None,
    report: Path | None,
) -> None:
    """Derain files and folders from anywhere with an engine's workers, and show how it goes."""
    from rainclear.fleet.run import derain_fleet
    from rainclear.fleet.settings import FleetSettings, ModelFiles

    if sidecar is not None:
        raise ConfigError("--sidecar is not written with --engine; derain without it")
    fleet = FleetSettings(
        model=ModelFiles.read(settings.model),
        device=settings.device,
        precision=settings.precision,
        backend=settings.backend,
        gate=settings.gate,
        compare=options.compare,
        encode=options.encode,
        overwrite=options.overwrite,
    )
    with frame_progress() as progress:
        view = _View(progress)
        result = derain_fleet(
            [str(name) for name in inputs],
            str(out),
            fleet,
            engine=engine,  # type: ignore[arg-type]  # checked there
            address=address,
            workers=workers,
            watch=view.watch(),
        )
    if report is not None:
        write_json(report, result.as_dict())
    _tell(result)


class _View:
    """A bar for every file in work, and one for all; notes and errors as they come."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._all = progress.add_task("waiting for workers", total=None, score=0.0)
        self._bars: dict[str, Any] = {}
        self._frames, self._files = 0, 0

    def watch(self) -> "Watch":
        from rainclear.fleet.pool import Watch

        return Watch(on_start=self.start, on_done=self.done, on_lost=self.lost)

    def start(self, task: "FleetTask", worker: "WorkerInfo") -> "OnFrame":
        name = f"{Path(task.source).name} ({worker.host} {worker.device})"
        self._bars[task.output], on_frame = follow(self._progress, name)
        self._progress.update(self._all, description=f"{self._files} files")
        return on_frame

    def done(self, task: "FleetTask", result: Any) -> None:
        from rainclear.runtime.jobs import JobReport

        self._remove(task)
        if isinstance(result, JobReport):
            self._files, self._frames = self._files + 1, self._frames + result.frames
            self._progress.update(
                self._all,
                description=f"{self._files} files",
                completed=self._frames,
                score=result.rain_score_mean,
            )
            for note in result.notes:
                show_note(f"{task.source}: {note}")
        else:
            show_error(result)

    def lost(self, task: "FleetTask", loss: "WorkerLost") -> None:
        self._remove(task)
        show_note(f"{task.source}: its worker was lost, another begins it anew ({loss})")

    def _remove(self, task: "FleetTask") -> None:
        self._progress.remove_task(self._bars.pop(task.output))


def _tell(result: "FleetReport") -> None:
    for done in result.done:
        console.print(
            f"{done.output}: {done.frames} frames, {done.fps:.1f} fps, "
            f"rain score {done.rain_score_mean:.2f}",
            soft_wrap=True,
            markup=False,
        )
    if result.skipped:
        show_note(
            f"{len(result.skipped)} files were done already and are left as they are; "
            "--overwrite derains them again"
        )
    if len(result.done) > 1:
        console.print(
            f"{len(result.done)} files, {result.frames} frames, {result.workers} workers, "
            f"{result.fps:.1f} fps together",
            soft_wrap=True,
        )
    if result.failed:
        total = len(result.failed) + len(result.done)
        if total > 1:
            errors.print(f"{len(result.failed)} of {total} files failed", soft_wrap=True)
        raise typer.Exit(1)
