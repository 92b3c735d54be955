"""What commands show while they work."""

from rich.console import Console
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

__all__ = ["console", "errors", "frame_progress"]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("– fps" if speed is None else f"{speed:.1f} fps", style="cyan")


def frame_progress() -> Progress:
    """A bar with frames, frames a second, remaining time and the rain score (field ``score``)."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        _Speed(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("rain {task.fields[score]:.2f}", style="blue"),
        console=errors,
    )
