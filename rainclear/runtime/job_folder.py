"""The folder of a job that can be killed: ``OUT.part/``, with finished segments and their list.

``OUT.part/job.json`` binds the folder to its input and options and lists the segments.
"""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from rainclear.errors import OutputError
from rainclear.runtime.job_files import STATE, file_name, folder_of, is_segment_file, write_whole
from rainclear.runtime.job_identity import differences
from rainclear.runtime.job_list import Done, Ending, JobList
from rainclear.video.partial import output_errors, try_lock

__all__ = ["JobFolder", "folder_of", "forget_finished", "kept_frames"]

_LIST = "job.json"
_LOCK = "lock"
_STATES_KEPT = 2  # so that damage to the last segment costs no more than that one


def kept_frames(output: Path) -> int:
    """Frames that an unfinished job for ``output`` has ready; 0 if there is none."""
    try:
        text = (folder_of(output) / _LIST).read_text(encoding="utf-8")
        return sum(done.frames for done in JobList.model_validate_json(text).segments)
    except (OSError, ValidationError):
        return 0


def forget_finished(output: Path) -> None:
    """Delete the folder of a job that was killed after its output was whole."""
    folder = folder_of(output)
    with suppress(OSError):
        if output.stat().st_mtime_ns >= (folder / _LIST).stat().st_mtime_ns:
            (folder / _LIST).unlink()
            shutil.rmtree(folder, ignore_errors=True)


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
        self._now = JobList(job=dict(job), threads=threads)
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
        (self.path / _LIST).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Unlock the folder; one without a finished segment is deleted."""
        self._lock.close()
        if self._mine and not self.done:
            known = {_LOCK, _LIST}
            with suppress(OSError):
                if all(is_segment_file(path) or path.name in known for path in self.path.iterdir()):
                    self.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, overwrite: bool) -> None:
        listed = self.path / _LIST
        try:
            then = JobList.model_validate_json(listed.read_text(encoding="utf-8"))
        except FileNotFoundError:
            then = None
        except (ValidationError, UnicodeDecodeError):
            if not overwrite:
                raise OutputError(
                    f"{listed}: is damaged; begin anew with --overwrite, or delete {self.path}"
                ) from None
            then = None
        if then is not None and then.job != self._now.job:
            if not overwrite:
                raise OutputError(
                    f"{self.path}: was begun with another {differences(then.job, self._now.job)}; "
                    f"begin anew with --overwrite, or delete {self.path}"
                )
            then = None
        self._mine = True
        if then is None:
            self._write(self._now)
        else:
            self._now = then.usable(self.path)
            if lost := len(then.segments) - len(self.done):
                self.notes.append(f"{self.path}: {lost} damaged segments are made again")
        self._sweep()

    def _sweep(self) -> None:
        """Delete what belongs to no finished segment."""
        kept = {self.file(d.number, kind).name for d in self.done for kind in d.files}
        for path in self.path.iterdir():
            if path.name not in kept and is_segment_file(path):
                path.unlink(missing_ok=True)

    def _write(self, now: JobList) -> None:
        with output_errors(self._output):
            write_whole(self.path / _LIST, now.model_dump_json(indent=1).encode() + b"\n")
        self._now = now
