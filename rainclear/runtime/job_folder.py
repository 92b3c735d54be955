"""The folder of a job that can be killed: finished segments beside the output, and what they are.

``OUT.part/job.json`` binds the folder to its input and options and lists the segments. A segment is
in that list, with the size and the SHA-256 of its files, only after they are whole on the disk.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from rainclear.config import Settings
from rainclear.errors import OutputError
from rainclear.video.partial import output_errors, try_lock

__all__ = [
    "PACKETS",
    "STATE",
    "TABLE",
    "Done",
    "Ending",
    "JobFolder",
    "Seal",
    "file_name",
    "folder_of",
    "forget_finished",
    "input_identity",
    "kept_frames",
    "partial_of",
    "write_whole",
]

PACKETS, TABLE, STATE = "packets", "table.safetensors", "state.safetensors"
_MANIFEST = "job.json"
_LOCK = "lock"
_EDGE = 2**20
_STATES_KEPT = 2  # so that damage to the last segment costs no more than that one


class Seal(Settings):
    """What a file must be: its size in bytes and the SHA-256 of its content."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Seal":
        """The seal of a file as it is."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return cls(size=file.tell(), sha256=digest.hexdigest())

    def fits(self, path: Path) -> bool:
        """Whether a file is there and is what was sealed."""
        try:
            return path.stat().st_size == self.size and Seal.of(path) == self
        except OSError:
            return False


class Done(Settings):
    """A finished segment.

    Attributes:
        number: From 0.
        first: Number of its first frame in the output.
        frames: How many it has.
        files: Seals of its files by their kind.
        pts: Stamp of the last frame that was read, ``None`` if it had none.
        sha256: Of that frame's pixels, to find the place again.
        last: Pts of the last frame as written.
        shift: Seconds by which the output is later than the input, as a fraction.
        notes: What a user should know about its time stamps.
        intact: Whether nothing read so far was damaged or of another size.
    """

    number: int
    first: int
    frames: int
    files: dict[str, Seal]
    pts: int | None
    sha256: str
    last: int
    shift: str
    notes: tuple[str, ...] = ()
    intact: bool = True


class Ending(Settings):
    """What is known once the last frame was read.

    Attributes:
        end: Seconds of the input from which on nothing is kept, as a fraction, if it is a part.
        corrupt_packets: As in the report of the reader.
        truncated: As there.
        message: As there.
    """

    end: str | None = None
    corrupt_packets: int = 0
    truncated: bool = False
    message: str | None = None


class _Manifest(Settings):
    format: Literal[1] = 1
    job: dict[str, str]
    threads: int
    begin: str | None = None
    segments: tuple[Done, ...] = ()
    ending: Ending | None = None


def file_name(number: int, kind: str) -> str:
    """Name of a file of a segment within its folder."""
    return f"{number:06d}.{kind}"


def folder_of(output: Path) -> Path:
    """The folder in which the segments of an output are collected."""
    return output.with_name(output.name + ".part")


def kept_frames(output: Path) -> int:
    """Frames that an unfinished job for ``output`` has ready; 0 if there is none."""
    try:
        text = (folder_of(output) / _MANIFEST).read_text(encoding="utf-8")
        return sum(done.frames for done in _Manifest.model_validate_json(text).segments)
    except (OSError, ValidationError):
        return 0


def forget_finished(output: Path) -> None:
    """Delete the folder of a job that was killed after its output was whole."""
    folder = folder_of(output)
    with suppress(OSError):
        if output.stat().st_mtime_ns >= (folder / _MANIFEST).stat().st_mtime_ns:
            (folder / _MANIFEST).unlink()
            shutil.rmtree(folder, ignore_errors=True)


def input_identity(path: Path) -> dict[str, str]:
    """What tells whether a file is the same as before: size, time, first and last MiB."""
    stat = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_EDGE))
        file.seek(max(0, stat.st_size - _EDGE))
        digest.update(file.read(_EDGE))
    changed = datetime.fromtimestamp(stat.st_mtime_ns / 1e9, UTC)
    return {
        "size of the input": f"{stat.st_size} bytes",
        "last change of the input": f"{changed:%Y-%m-%d %H:%M:%S.%f} UTC",
        "content of the input": digest.hexdigest()[:16],
    }


class JobFolder:
    """The folder of one job, locked while it is open; a context manager.

    Args:
        output: The file that the job will write.
        job: Input, options and versions, by names for people. All must be as they were.
        threads: Encoder threads of a new job; one that goes on keeps those that it began with.
        overwrite: Whether a folder of another job is thrown away, instead of being an error.

    Attributes:
        path: The folder.
        notes: What a user should know about segments that were there.

    Raises:
        OutputError: The folder belongs to another job, or to one that is running; it is damaged or
            cannot be written.
    """

    def __init__(
        self, output: Path, job: Mapping[str, str], *, threads: int, overwrite: bool = False
    ) -> None:
        self.path = folder_of(output)
        self.notes: list[str] = []
        self._output = output
        self._mine = False
        self._now = _Manifest(job=dict(job), threads=threads)
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path}: is a file, and the job needs a folder of that name")
        with output_errors(self.path):
            self.path.mkdir(exist_ok=True)
            self._lock = (self.path / _LOCK).open("wb")
        try:
            if try_lock(self._lock) is False:
                raise OutputError(f"{self.path}: another process is working on this job")
            self._open(overwrite)
        except BaseException:
            self.close()
            raise

    @property
    def done(self) -> tuple[Done, ...]:
        """The finished segments."""
        return self._now.segments

    @property
    def ending(self) -> Ending | None:
        """What is known of the end, if the last frame was read."""
        return self._now.ending

    @property
    def threads(self) -> int:
        """Encoder threads of all segments."""
        return self._now.threads

    @property
    def begin(self) -> str | None:
        """Seconds of the input at which the part begins, as a fraction, if it is moved to zero."""
        return self._now.begin

    def file(self, number: int, kind: str) -> Path:
        """Name of a file of a segment."""
        return self.path / file_name(number, kind)

    def add(self, done: Done, *, begin: str | None) -> None:
        """List a segment whose files are whole.

        Raises:
            OutputError: The disk is full; the list is as before then.
        """
        self._write(self._now.model_copy(update={"segments": (*self.done, done), "begin": begin}))
        old = self.file(done.number - _STATES_KEPT, STATE)
        old.unlink(missing_ok=True)

    def finish(self, ending: Ending) -> None:
        """Note that the last frame was read."""
        self._write(self._now.model_copy(update={"ending": ending}))

    def remove(self) -> None:
        """Delete the folder: the output is whole."""
        self._lock.close()
        # The list goes first: what is left of a folder without one is rubbish.
        (self.path / _MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Unlock the folder; one without a finished segment is deleted."""
        self._lock.close()
        if self._mine and not self.done:
            known = {_LOCK, _MANIFEST}
            with suppress(OSError):
                if all(_ours(path) or path.name in known for path in self.path.iterdir()):
                    self.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, overwrite: bool) -> None:
        manifest = self.path / _MANIFEST
        try:
            then = _Manifest.model_validate_json(manifest.read_text(encoding="utf-8"))
        except FileNotFoundError:
            then = None
        except (ValidationError, UnicodeDecodeError):
            if not overwrite:
                raise OutputError(
                    f"{manifest}: is damaged; begin anew with --overwrite, or delete {self.path}"
                ) from None
            then = None
        if then is not None and then.job != self._now.job:
            if not overwrite:
                raise OutputError(
                    f"{self.path}: was begun with another {_differences(then.job, self._now.job)}; "
                    f"begin anew with --overwrite, or delete {self.path}"
                )
            then = None
        self._mine = True
        if then is None:
            self._write(self._now)
        else:
            self._now = self._checked(then)
        self._sweep()

    def _checked(self, then: _Manifest) -> _Manifest:
        """The list up to the last segment that is whole and from which one can go on."""
        whole = 0
        for done in then.segments:
            kinds = (PACKETS, TABLE)
            if not all(done.files[kind].fits(self.file(done.number, kind)) for kind in kinds):
                break
            whole += 1
        if whole == len(then.segments) and then.ending is not None:
            return then
        usable = whole
        while usable and not then.segments[usable - 1].files[STATE].fits(
            self.file(usable - 1, STATE)
        ):
            usable -= 1
        if usable < len(then.segments):
            lost = len(then.segments) - usable
            self.notes.append(f"{self.path}: {lost} damaged segments are made again")
        kept = then.segments[:usable]
        return then.model_copy(update={"segments": kept, "ending": None})

    def _sweep(self) -> None:
        """Delete what belongs to no finished segment."""
        kept = {self.file(d.number, kind).name for d in self.done for kind in d.files}
        for path in self.path.iterdir():
            if path.name not in kept and _ours(path):
                path.unlink(missing_ok=True)

    def _write(self, manifest: _Manifest) -> None:
        with output_errors(self._output):
            write_whole(self.path / _MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
        self._now = manifest


def write_whole(path: Path, data: bytes) -> Seal:
    """Write a file that appears under its name only when it is whole on the disk.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    partial = partial_of(path)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return Seal(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def partial_of(path: Path) -> Path:
    """Name of a file of a segment while it is being written."""
    return path.with_name(f".{path.name}.partial")


def _ours(path: Path) -> bool:
    kinds = tuple(f".{kind}" for kind in (PACKETS, TABLE, STATE))
    return path.name.endswith((*kinds, ".partial")) and path.is_file()


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return ", ".join(
        f"{name} ({_short(then.get(name, 'none'))}, now {_short(now.get(name, 'none'))})"
        for name in names
    )


def _short(text: str) -> str:
    return (
        text if len(text) <= 40 else f"{text[:12]}…{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    )
