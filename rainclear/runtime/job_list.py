"""The list of a job that can be killed: what it is, and which of its segments are finished.

A segment is in the list, with the size and the SHA-256 of its files, only after they are whole on
the disk.
"""

from pathlib import Path
from typing import Literal

from rainclear.config import Settings
from rainclear.runtime.job_files import PACKETS, STATE, TABLE, Seal, file_name

__all__ = ["Done", "Ending", "JobList"]


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


class JobList(Settings):
    """What ``job.json`` holds.

    Attributes:
        format: Of this list.
        job: Input, options and versions, by names for people.
        threads: Encoder threads of all segments.
        begin: Seconds of the input at which the part begins, as a fraction, if it is moved to zero.
        segments: The finished segments.
        ending: What is known of the end, if the last frame was read.
    """

    format: Literal[1] = 1
    job: dict[str, str]
    threads: int
    begin: str | None = None
    segments: tuple[Done, ...] = ()
    ending: Ending | None = None

    def usable(self, folder: Path) -> "JobList":
        """The list up to the last segment that is whole and from which one can go on."""

        def fit(done: Done, *kinds: str) -> bool:
            return all(done.files[k].fits(folder / file_name(done.number, k)) for k in kinds)

        whole = 0
        while whole < len(self.segments) and fit(self.segments[whole], PACKETS, TABLE):
            whole += 1
        if whole == len(self.segments) and self.ending is not None:
            return self
        while whole and not fit(self.segments[whole - 1], STATE):
            whole -= 1
        return self.model_copy(update={"segments": self.segments[:whole], "ending": None})
