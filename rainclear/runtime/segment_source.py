"""The place in the input at which a long job goes on."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np

from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.runtime.job_files import folder_of
from rainclear.runtime.job_list import Done
from rainclear.runtime.segment_job import SegmentJob
from rainclear.video import VideoReader
from rainclear.video.part import Position

__all__ = ["digest", "frames_since"]


@contextmanager
def frames_since(
    job: SegmentJob, last: Done | None
) -> Iterator[tuple[VideoReader, Iterator[Frame]]]:
    """Open the source at the first frame that is not in the finished segments.

    Where the file allows it, what was read before is not decoded again. Pixels of the last frame
    that was done tell whether the place is right; if not, all is decoded from the beginning.

    Args:
        job: The job.
        last: The last finished segment; ``None`` to begin at the beginning.

    Raises:
        InputError: The source cannot be read, or gives other frames than before.
    """
    found = None if last is None else _reader_at(job, last)
    if found is not None:
        reader, frames = found
    else:
        reader = VideoReader(job.source, stream=job.options.stream, part=job.options.part)
        frames = iter(reader)
    with reader:
        if last is not None and found is None:
            behind = islice(frames, last.first + last.frames - 1, None)
            if not _is_last(next(behind, None), last):
                raise InputError(
                    f"{job.source}: gives other frames than when the job was begun; "
                    f"begin anew with --overwrite, or delete {folder_of(job.output)}"
                )
        yield reader, frames


def _reader_at(job: SegmentJob, last: Done) -> tuple[VideoReader, Iterator[Frame]] | None:
    """A reader that has just delivered the last frame that is done, if that can be jumped to."""
    if last.pts is None or not last.intact:
        return None
    position = Position(pts=last.pts, index=last.first + last.frames - 1)
    options = job.options
    try:
        reader = VideoReader(job.source, stream=options.stream, part=options.part, since=position)
    except InputError:
        return None
    frames = iter(reader)
    if _is_last(next(frames, None), last) and not reader.report.corrupt_packets:
        return reader, frames
    reader.close()
    return None


def digest(frame: Frame) -> str:
    """SHA-256 of the pixels of a frame."""
    return hashlib.sha256(np.ascontiguousarray(frame.pixels).data).hexdigest()


def _is_last(frame: Frame | None, last: Done) -> bool:
    return frame is not None and frame.pts == last.pts and digest(frame) == last.sha256
