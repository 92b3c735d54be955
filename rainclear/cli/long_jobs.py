"""What ``rainclear derain`` needs for parts of videos, jobs that go on, and many files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rainclear.cli.view import show_note
from rainclear.errors import InputError

if TYPE_CHECKING:
    from rainclear.runtime.batch import BatchReport, Resume
    from rainclear.runtime.options import DerainerOptions
    from rainclear.runtime.plan import Task
    from rainclear.video.part import Part

__all__ = ["batch_table", "part_of", "refuse_pictures", "resume_with", "show_kept"]


def part_of(start: str | None, end: str | None, frames: int | None) -> "Part | None":
    """The part that ``--start``, ``--end`` and ``--frames`` mean; ``None`` if none is given."""
    from fractions import Fraction

    from rainclear.video.part import Part, seconds_of

    if start is None and end is None and frames is None:
        return None
    return Part(
        start=Fraction(0) if start is None else seconds_of(start),
        end=None if end is None else seconds_of(end),
        frames=frames,
    )


def refuse_pictures(tasks: "Sequence[Task]") -> None:
    """Say that pictures have no parts and no streams.

    Raises:
        InputError: There is a picture among the files.
    """
    from rainclear.video import is_image

    for task in tasks:
        if is_image(task.source):
            raise InputError(
                f"{task.source}: is a picture; --start, --end, --frames and --stream choose a "
                "part of a video: leave them out, or give videos alone"
            )


def resume_with(settings: "DerainerOptions", segment: int | None) -> "Resume":
    """How ``--resume`` works with these settings; ``segment`` is the length of a segment."""
    from rainclear.runtime.batch import Resume
    from rainclear.runtime.segment_job import SEGMENT_FRAMES
    from rainclear.zoo import find_model

    weights = find_model(settings.model).spec.weights
    return Resume(
        made_with={
            "weights of the model": weights.sha256[:16] if weights else "none",
            "--precision": settings.precision,
        },
        length=segment or SEGMENT_FRAMES,
    )


def show_kept(output: Path) -> None:
    """Say how to go on with a job that was stopped, if there is something to go on with."""
    from rainclear.runtime.job_folder import folder_of, kept_frames

    if kept := kept_frames(output):
        show_note(
            f"{kept} frames are kept in {folder_of(output)}; the same command goes on from there"
        )


def batch_table(batch: "BatchReport") -> str:
    """A line a file: what became of it, frames, dry ones, frames a second, score; then a sum."""
    rows: list[tuple[str, ...]] = [("", "frames", "dry", "fps", "rain", "file")]
    for done in batch.done:
        figures = (str(done.frames), str(done.dry_frames), f"{done.fps:.1f}")
        rows.append(("done", *figures, f"{done.rain_score_mean:.2f}", done.output))
    rows += [("finished before", *[""] * 4, str(task.output)) for task in batch.skipped]
    rows += [("failed", *[""] * 4, str(task.source)) for task, _ in batch.failed]
    wide = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join([row[0].ljust(wide[0]), *map(str.rjust, row[1:5], wide[1:]), row[5]])
        for row in rows
    ]
    counts = {
        "done": len(batch.done),
        "finished before": len(batch.skipped),
        "failed": len(batch.failed),
    }
    total = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    return "\n".join([*lines, f"{sum(counts.values())} files: {total}"])
