"""Long jobs: a video is derained in segments, so that one that was killed goes on where it stopped.

The parts are plain functions, so that other engines can use them: ``plan_segments`` says which
segments a video has, ``frames_since`` finds the place in the input, :func:`derain_segment` makes
one from the state that the one before ended with, and ``join_segments`` makes the video.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import torch

from rainclear.frame import Frame
from rainclear.runtime.carry import carried, restore
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Sink
from rainclear.runtime.job_files import (
    PACKETS,
    STATE,
    TABLE,
    Seal,
    file_name,
    partial_of,
    write_whole,
)
from rainclear.runtime.job_list import Done
from rainclear.runtime.outputs import OutputFrames
from rainclear.runtime.report import OnFrame
from rainclear.runtime.segment_job import Segment, SegmentJob
from rainclear.runtime.segment_source import digest
from rainclear.runtime.segment_table import FrameRows
from rainclear.video.frame_encoder import DEFAULT_RATE
from rainclear.video.partial import output_errors
from rainclear.video.segment import SegmentWriter
from rainclear.video.stamps import Stamps

__all__ = ["derain_segment"]


def derain_segment(
    frames: Iterable[Frame],
    segment: Segment,
    *,
    job: SegmentJob,
    derainer: Derainer,
    folder: Path,
    before: Done | None = None,
    fresh: bool = False,
    on_frame: OnFrame | None = None,
) -> tuple[Done, dict[str, float]] | None:
    """Make one segment; its files are whole when this returns.

    Args:
        frames: Frames of the source from the first of the segment on; no more than its own are
            taken.
        segment: Which.
        job: The job.
        derainer: Has seen the frames before this segment, unless ``fresh``.
        folder: Where the files go.
        before: The segment before.
        fresh: Whether the derainer gets its state from the files of the segment before.
        on_frame: As in :func:`rainclear.derain_video`.

    Returns:
        The segment for the list of finished ones, and the seconds that ``model`` and ``encode``
        worked; ``None`` if there are no frames left.

    Raises:
        OutputError: The disk is full, or the encoder refuses a frame.
    """
    frames = islice(frames, segment.frames)
    frame = next(frames, None)
    if frame is None:
        return None
    if fresh and before is None:
        derainer.reset()
    elif fresh and before is not None:
        restore(derainer, folder / file_name(before.number, STATE))
    stamps = _stamps(job, before)
    derained = OutputFrames(derainer, compare=job.options.compare)
    rows = FrameRows()
    files = {kind: folder / file_name(segment.number, kind) for kind in (PACKETS, TABLE, STATE)}
    partial = partial_of(files[PACKETS])
    last = frame
    try:
        with _writer(job, partial, stamps, segment.first) as writer:

            def write(one: Frame) -> None:
                with output_errors(job.output, f"frame {one.index} cannot be written"):
                    writer.write(one)

            with Sink(write) as sink:
                for last in chain([frame], frames):
                    sink.put(derained(last))
                    rows.add(last, derainer.reading)
                    if on_frame:
                        done = segment.first + len(rows)
                        on_frame(done, job.info.frames, derainer.reading.score)
            begun = time.perf_counter()
            with output_errors(job.output):
                table = rows.table(writer.finish())
                partial.replace(files[PACKETS])
                seals = {
                    PACKETS: Seal.of(files[PACKETS]),
                    TABLE: write_whole(files[TABLE], table),
                    STATE: write_whole(files[STATE], carried(derainer)),
                }
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    encode_seconds = sink.seconds + time.perf_counter() - begun
    assert stamps.last is not None
    finished = Done(
        number=segment.number,
        first=segment.first,
        frames=len(rows),
        files=seals,
        pts=last.pts,
        sha256=digest(last),
        last=stamps.last,
        shift=str(stamps.shift),
        notes=tuple(stamps.notes),
    )
    return finished, {"model": derained.seconds, "encode": encode_seconds}


@contextmanager
def _writer(job: SegmentJob, path: Path, stamps: Stamps, number: int) -> Iterator[SegmentWriter]:
    with output_errors(job.output):
        writer = SegmentWriter(
            path,
            container=job.output.name,
            info=job.info,
            size=job.size,
            codec=job.options.encode.codec,
            crf=job.options.encode.crf,
            preset=job.options.encode.speed,
            threads=job.threads,
            stamps=stamps,
            number=number,
            avoid_avx512=torch.backends.cpu.get_cpu_capability() == "AVX512",
        )
    with writer:
        yield writer


def _stamps(job: SegmentJob, before: Done | None) -> Stamps:
    part = job.options.part
    stamps = Stamps(
        time_base=job.info.time_base,
        rate=job.info.rate or DEFAULT_RATE,
        from_zero=part is not None and part.start > 0,
    )
    if before is not None:
        stamps.go_on(before.last, Fraction(before.shift))
    return stamps
