"""Which files a fleet derains, where each result goes, and what an earlier run has done already."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rainclear.errors import InputError, OutputError
from rainclear.fleet.settings import FleetSettings
from rainclear.fleet.store import Place, place
from rainclear.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_image, is_video

__all__ = ["MANIFEST", "FleetPlan", "FleetTask", "plan_fleet", "write_manifest"]

MANIFEST = ".rainclear-fleet.json"
"""File in the output folder that says with which settings its files are made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetTask:
    """One file to derain.

    Attributes:
        source: URL or absolute path of the file to read.
        output: URL or absolute path of the file to write.
        bytes: Size of the source.
    """

    source: str
    output: str
    bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetPlan:
    """What is to be done.

    Attributes:
        tasks: Files to derain, in the order of the inputs and of their names.
        skipped: Files that an earlier run with the same settings has finished.
        folder: Output folder, ``None`` if the output is one file.
    """

    tasks: tuple[FleetTask, ...]
    skipped: tuple[FleetTask, ...] = ()
    folder: str | None = None


def plan_fleet(inputs: Sequence[str], output: str, settings: FleetSettings) -> FleetPlan:
    """Pair every input file with its output, and leave out what is finished.

    One file and an output with the name of a picture or video: the output is the file's name.
    Otherwise the output is a folder; files keep their names, and folders among the inputs keep
    their shape. A file of that folder counts as finished if the folder's manifest says that the
    same weights and settings made it.

    Args:
        inputs: Videos, pictures and folders, as URLs or paths.
        output: A file for a single input file, else a folder.
        settings: How they are derained; the manifest is compared with them.

    Raises:
        InputError: An input is missing, or a folder holds no video or picture.
        OutputError: An output exists and is not known to be finished with the same settings, two
            inputs would share one, or an output is its own input.
    """
    target = place(output)
    places = [place(name) for name in inputs]
    one_file = len(places) == 1 and not places[0].is_folder()
    if one_file and _names_a_file(target) and not output.endswith("/") and not target.is_folder():
        return _one_file(places[0], target, settings)
    tasks = [
        FleetTask(source=file.url, output=(target / relative).url, bytes=size)
        for source in places
        for file, relative, size in _files(source, target)
    ]
    _check_pairs(tasks)
    there = {(target / name).url for name in target.files()}
    finished = [task for task in tasks if task.output in there]
    if finished and not settings.overwrite:
        _check_manifest(target, settings, finished)
    else:
        finished = []
    done = {task.output for task in finished}
    return FleetPlan(
        tasks=tuple(task for task in tasks if task.output not in done),
        skipped=tuple(finished),
        folder=target.url,
    )


def write_manifest(folder: Place, settings: FleetSettings) -> None:
    """Note in an output folder how its files are made."""
    with tempfile.TemporaryDirectory(prefix="rainclear-") as room:
        file = Path(room) / MANIFEST
        file.write_text(json.dumps(settings.manifest(), indent=2) + "\n", encoding="utf-8")
        (folder / MANIFEST).store(file)


def _names_a_file(target: Place) -> bool:
    return is_image(target.name) or is_video(target.name)


def _one_file(source: Place, target: Place, settings: FleetSettings) -> FleetPlan:
    if not source.exists():
        raise InputError(f"{source.url}: no such file or folder")
    if is_image(source.name) != is_image(target.name):
        kinds = IMAGE_SUFFIXES if is_image(source.name) else VIDEO_SUFFIXES
        raise OutputError(
            f"{target.url}: the name does not fit the input {source.url}; "
            f"use one of: {', '.join(sorted(kinds))}"
        )
    task = FleetTask(source=source.url, output=target.url, bytes=source.size())
    _check_pairs([task])
    if target.exists() and not settings.overwrite:
        raise OutputError(f"{target.url}: exists already; give another name or --overwrite")
    return FleetPlan(tasks=(task,))


def _files(source: Place, target: Place) -> list[tuple[Place, str, int]]:
    """Files of an input, each with its path below the output folder and its size."""
    if not source.is_folder():
        if not source.exists():
            raise InputError(f"{source.url}: no such file or folder")
        return [(source, source.name, source.size())]
    # An earlier run's results are no input, but an output around the input hides nothing.
    results = target.url + "/" if target.url.startswith(source.url + "/") else None
    found = [
        (source / name, name, size)
        for name, size in source.files().items()
        if (is_video(name) or is_image(name))
        and not name.rpartition("/")[2].startswith(".")
        and not (results and (source / name).url.startswith(results))
    ]
    if not found:
        raise InputError(f"{source.url}: the folder holds no video or picture")
    return found


def _check_pairs(tasks: Sequence[FleetTask]) -> None:
    sources: dict[str, str] = {}
    for task in tasks:
        if task.output in sources:
            raise OutputError(
                f"{sources[task.output]} and {task.source} would both be written to {task.output}; "
                "derain them into different folders"
            )
        sources[task.output] = task.source
        if task.output == task.source:
            raise OutputError(f"{task.output}: is the input itself; give another name")


def _check_manifest(folder: Place, settings: FleetSettings, finished: list[FleetTask]) -> None:
    text = (folder / MANIFEST).read_text()
    if text is None:
        raise OutputError(
            f"{finished[0].output}: exists already, and no fleet made it; give another folder or "
            "--overwrite"
        )
    wanted = settings.manifest()
    try:
        found = json.loads(text)
        differing = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
    except (ValueError, TypeError) as error:
        raise OutputError(
            f"{(folder / MANIFEST).url}: is damaged; give another folder or --overwrite"
        ) from error
    if differing:
        raise OutputError(
            f"{folder.url}: holds files made with another {', '.join(differing)}; give another "
            "folder or --overwrite"
        )
