"""What commands show while they work."""

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["console", "errors", "frame_progress", "show_error", "show_note"]

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
