"""Several files one after the other: one that fails does not stop the rest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from rainclear.errors import OutputError, RainclearError
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.file_job import run_file
from rainclear.runtime.job_folder import forget_finished
from rainclear.runtime.long_job import derain_in_segments
from rainclear.runtime.options import JobOptions
from rainclear.runtime.plan import Task
from rainclear.runtime.report import JobReport, OnFrame
from rainclear.runtime.segment_job import SEGMENT_FRAMES
from rainclear.runtime.sidecar import Sidecar
from rainclear.video import is_image

__all__ = ["BatchReport", "Resume", "derain_batch"]


@dataclass(kw_only=True, slots=True)
class BatchReport:
    """What became of every file.

    Attributes:
        done: Reports of the files that were written.
        failed: Files that could not be derained, with the reason.
        skipped: Files whose output an earlier run had finished.
    """

    done: list[JobReport] = field(default_factory=list)
    failed: list[tuple[Task, RainclearError]] = field(default_factory=list)
    skipped: list[Task] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """How jobs are made that can be killed; see ``derain_in_segments``.

    Attributes:
        made_with: What the derainer was made with.
        length: Frames of a segment.
    """

    made_with: Mapping[str, str]
    length: int = SEGMENT_FRAMES


def derain_batch(
    tasks: Sequence[Task],
    derainer: Derainer,
    options: JobOptions,
    *,
    resume: Resume | None = None,
    sidecar: Sidecar | None = None,
    make_folders: bool = False,
    on_start: Callable[[Task], OnFrame] | None = None,
    on_done: Callable[[Task, JobReport | RainclearError], None] | None = None,
) -> BatchReport:
    """Derain all files, in order, with one network.

    With ``resume``, outputs that exist are finished and skipped, unless they may be replaced.

    Args:
        tasks: Files and where they go.
        derainer: Used for one after the other; its state is reset for each.
        options: What to derain of each file, and how the outputs are made.
        resume: Work in segments, so that a killed job goes on; pictures are made at once.
        sidecar: Where the rain of every frame is written as JSON.
        make_folders: Make the folders of the outputs.
        on_start: Called before a file; returns what is called after each of its frames.
        on_done: Called after a file with its report or its error.
    """
    batch = BatchReport()
    for task in tasks:
        if resume and task.output.exists() and not options.overwrite:
            forget_finished(task.output)
            batch.skipped.append(task)
            continue
        on_frame = on_start(task) if on_start else None
        result: JobReport | RainclearError
        try:
            if make_folders:
                _make_folder(task)
            run: Callable[..., JobReport] = run_file
            if resume and not is_image(task.source):
                run = partial(derain_in_segments, made_with=resume.made_with, length=resume.length)
            result = run(
                task.source, task.output, derainer, options, sidecar=sidecar, on_frame=on_frame
            )
            batch.done.append(result)
        except RainclearError as error:
            result = error
            batch.failed.append((task, error))
        if on_done:
            on_done(task, result)
    return batch


def _make_folder(task: Task) -> None:
    try:
        task.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{task.output.parent}: cannot be made: {error.strerror}") from error
