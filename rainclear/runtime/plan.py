"""Which files a command reads and where each result goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rainclear.errors import InputError, OutputError
from rainclear.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_image, is_video

__all__ = ["Task", "plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One file to derain and the file to write."""

    source: Path
    output: Path


def plan(inputs: Sequence[Path], output: Path, *, overwrite: bool = False) -> list[Task]:
    """Pair every input file with its output.

    One file and an output that is not a folder: the output is the file's name. Otherwise the
    output is a folder, made if need be, and files keep their names; folders among the inputs are
    walked and keep their shape.

    Args:
        inputs: Videos, pictures and folders.
        output: A file for a single input file, else a folder.
        overwrite: Whether existing files may be replaced.

    Raises:
        InputError: An input is missing, or a folder holds no video or picture.
        OutputError: An output exists already, two inputs would share one, or the output is a file
            where a folder is needed.
    """
    for path in inputs:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if len(inputs) == 1 and not inputs[0].is_dir() and not output.is_dir():
        tasks = [Task(source=inputs[0], output=output)]
        if is_image(inputs[0]) != is_image(output):
            kinds = IMAGE_SUFFIXES if is_image(inputs[0]) else VIDEO_SUFFIXES
            raise OutputError(
                f"{output}: the name does not fit the input {inputs[0]}; "
                f"use one of: {', '.join(sorted(kinds))}"
            )
    else:
        if output.exists() and not output.is_dir():
            raise OutputError(f"{output}: is a file; several inputs or a folder need a folder")
        tasks = [
            Task(source=file, output=output / file.relative_to(base))
            for path in inputs
            for file, base in _files(path, output)
        ]
    _check(tasks, overwrite)
    return tasks


def _files(path: Path, output: Path) -> list[tuple[Path, Path]]:
    if not path.is_dir():
        return [(path, path.parent)]
    # An earlier run's results are no input, but an output around the input hides nothing.
    results = output.resolve()
    own_results = path.resolve() in results.parents
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and (is_video(file) or is_image(file))
        and not file.name.startswith(".")
        and not (own_results and results in file.resolve().parents)
    ]
    if not found:
        raise InputError(f"{path}: the folder holds no video or picture")
    return [(file, path) for file in found]


def _check(tasks: list[Task], overwrite: bool) -> None:
    sources: dict[Path, Path] = {}
    for task in tasks:
        if task.output in sources:
            raise OutputError(
                f"{sources[task.output]} and {task.source} would both be written to {task.output}; "
                "derain them into different folders"
            )
        sources[task.output] = task.source
        if task.output.exists() and task.output.samefile(task.source):
            raise OutputError(f"{task.output}: is the input itself; give another name")
        if task.output.exists() and not overwrite:
            raise OutputError(f"{task.output}: exists already; give another name or --overwrite")
