"""What commands show while they work."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rainclear.errors import OutputError

if TYPE_CHECKING:
    from rainclear.runtime.report import OnFrame

__all__ = [
    "console",
    "errors",
    "follow",
    "frame_progress",
    "show_error",
    "show_note",
    "write_json",
    "write_text",
]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("– fps" if speed is None else f"{speed:.1f} fps", style="cyan")


def show_error(error: Exception) -> None:
    """One line on stderr; names of files are shown as they are, whatever brackets they hold."""
    _line("[bold red]error:[/]", str(error))


def show_note(text: str) -> None:
    """One line on stderr about something that a user should know."""
    _line("[yellow]note:[/]", text)


def _line(head: str, text: str) -> None:
    line = " ".join(part.strip() for part in text.splitlines())
    errors.print(f"{head} {escape(line)}", soft_wrap=True)


def frame_progress(*, score: bool = True) -> Progress:
    """A bar with frames, frames a second, remaining time and the rain score (field ``score``).

    It is shown on a terminal alone, so that a log holds nothing but errors and notes.
    """
    scores = [TextColumn("rain {task.fields[score]:.2f}", style="blue")] if score else []
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        _Speed(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        *scores,
        console=errors,
        disable=not errors.is_terminal,
    )


def follow(progress: Progress, name: str) -> "tuple[TaskID, OnFrame]":
    """A new bar of :func:`frame_progress`, and what moves it: called after every frame."""
    bar = progress.add_task(name, total=None, score=0.0)

    def on_frame(done: int, total: int | None, score: float) -> None:
        progress.update(bar, completed=done, total=max(done, total) if total else None, score=score)

    return bar, on_frame


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Write the report of a run into a folder that is there.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the report cannot be written: {error.strerror}") from error


def write_text(path: Path, text: str) -> None:
    """Write a file, and make its folder where there is none.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
