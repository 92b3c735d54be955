"""Long jobs: a video is derained in segments, so that one that was killed goes on where it stopped.

The parts are plain functions, so that other engines can use them: :func:`plan_segments` says which
segments a video has, :func:`frames_since` finds the place in the input, :func:`derain_segment`
makes one from the state that the one before ended with, and :func:`join_segments` makes the video.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.runtime.carry import carried, restore
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Sink
from rainclear.runtime.job_folder import (
    PACKETS,
    STATE,
    TABLE,
    Done,
    Seal,
    file_name,
    folder_of,
    partial_of,
    write_whole,
)
from rainclear.runtime.jobs import EncodeOptions, OnFrame, side_by_side
from rainclear.video import VideoInfo, VideoReader, VideoWriter
from rainclear.video.frame_encoder import DEFAULT_RATE
from rainclear.video.part import Cut, Part, Position
from rainclear.video.partial import output_errors
from rainclear.video.segment import PacketTable, SegmentWriter, encoded_packets
from rainclear.video.stamps import Stamps

__all__ = [
    "NO_PTS",
    "READINGS",
    "SEGMENT_FRAMES",
    "Segment",
    "SegmentJob",
    "derain_segment",
    "frames_since",
    "join_segments",
    "open_output",
    "plan_segments",
    "read_table",
]

SEGMENT_FRAMES = 250
"""Frames of a segment: what a kill costs at most, against a key frame more in the output."""

# Of RainReading, in the order in which a segment's table holds them.
READINGS = ("score", "open", "heavy", "light", "streaks", "drops")
NO_PTS = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Frames ``first`` to ``first + frames - 1`` of the output; the last may have fewer."""

    number: int
    first: int
    frames: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentJob:
    """What all segments of a video have in common.

    Attributes:
        source: The video to read.
        output: The file that will be written in the end.
        info: What the reader says of the source.
        part: The part of it to derain; ``None`` for all.
        stream: Index of its video stream; ``None`` for the main one.
        compare: Write rainy | derained side by side.
        encode: Codec, quality and speed.
        threads: Encoder threads.
    """

    source: Path
    output: Path
    info: VideoInfo
    part: Part | None = None
    stream: int | None = None
    compare: bool = False
    encode: EncodeOptions = EncodeOptions()
    threads: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the output, as stored."""
        turned = self.info.rotation % 180 == 90
        return (
            self.info.width * (2 if self.compare and not turned else 1),
            self.info.height * (2 if self.compare and turned else 1),
        )


def plan_segments(
    frames: int | None = None, *, length: int = SEGMENT_FRAMES, first: int = 0
) -> Iterator[Segment]:
    """The segments of a video.

    Args:
        frames: Frames of the video; ``None`` if they are not known: there is no end then.
        length: Frames of each segment.
        first: Frames that are done already, a multiple of ``length``.
    """
    for begin in count(first, length):
        if frames is not None and begin >= frames:
            return
        left = length if frames is None else min(length, frames - begin)
        yield Segment(number=begin // length, first=begin, frames=left)


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
        reader = VideoReader(job.source, stream=job.stream, part=job.part)
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
    try:
        reader = VideoReader(job.source, stream=job.stream, part=job.part, since=position)
    except InputError:
        return None
    frames = iter(reader)
    if _is_last(next(frames, None), last) and not reader.report.corrupt_packets:
        return reader, frames
    reader.close()
    return None


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
    rows: list[tuple[float, ...]] = []
    times: list[int] = []
    model_seconds = 0.0
    packets = folder / file_name(segment.number, PACKETS)
    last = frame
    try:
        with _writer(job, packets, stamps, segment.first) as writer:

            def write(one: Frame) -> None:
                with output_errors(job.output, f"frame {one.index} cannot be written"):
                    writer.write(one)

            with Sink(write) as sink:
                for last in chain([frame], frames):
                    begun = time.perf_counter()
                    (derained,) = derainer.stream([last])
                    model_seconds += time.perf_counter() - begun
                    if job.compare:
                        both = side_by_side(last.pixels, derained.pixels, last.rotation)
                        derained = replace(derained, pixels=both)
                    sink.put(derained)
                    reading = derainer.reading
                    rows.append(tuple(float(getattr(reading, name)) for name in READINGS))
                    times.append(NO_PTS if last.pts is None else last.pts)
                    if on_frame:
                        done = segment.first + len(rows)
                        on_frame(done, job.info.frames, reading.score)
            begun = time.perf_counter()
            with output_errors(job.output):
                table = writer.finish()
                partial_of(packets).replace(packets)
                seals = {
                    PACKETS: Seal.of(packets),
                    TABLE: write_whole(
                        folder / file_name(segment.number, TABLE), _table_bytes(table, rows, times)
                    ),
                    STATE: write_whole(
                        folder / file_name(segment.number, STATE), carried(derainer)
                    ),
                }
    except BaseException:
        with suppress(OSError):
            partial_of(packets).unlink(missing_ok=True)
        raise
    encode_seconds = sink.seconds + time.perf_counter() - begun
    assert stamps.last is not None
    finished = Done(
        number=segment.number,
        first=segment.first,
        frames=len(rows),
        files=seals,
        pts=last.pts,
        sha256=_digest(last),
        last=stamps.last,
        shift=str(stamps.shift),
        notes=tuple(stamps.notes),
    )
    return finished, {"model": model_seconds, "encode": encode_seconds}


def join_segments(
    job: SegmentJob,
    segments: Iterable[Done],
    folder: Path,
    *,
    cut: Cut | None = None,
    overwrite: bool = False,
) -> VideoWriter:
    """Make the output of its segments without encoding anew, with sound, subtitles and the like.

    Args:
        job: The job.
        segments: All of them, in order.
        folder: Where their files are.
        cut: Where the part lies in the source, if it is one.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The writer, closed, for its notes.

    Raises:
        OutputError: The output exists or cannot be written, the disk is full, or the segments were
            made by another encoder. The segments are left as they are.
    """
    segments = tuple(segments)
    tables = [
        (
            folder / file_name(done.number, PACKETS),
            read_table(folder / file_name(done.number, TABLE))[0],
        )
        for done in segments
    ]
    with open_output(job, cut=cut, overwrite=overwrite) as writer:
        writer.write_encoded(
            encoded_packets(tables, time_base=job.info.time_base),
            extradata=tables[0][1].extradata if tables else b"",
            shift=Fraction(segments[0].shift) if segments else Fraction(0),
        )
    return writer


def open_output(job: SegmentJob, *, cut: Cut | None = None, overwrite: bool = False) -> VideoWriter:
    """The writer of the whole output; see :func:`join_segments` for arguments and errors."""
    width, height = job.size
    return VideoWriter(
        job.output,
        template=job.info,
        width=width,
        height=height,
        codec=job.encode.codec,
        crf=job.encode.crf,
        preset=job.encode.speed,
        overwrite=overwrite,
        threads=job.threads,
        cut=cut,
    )


@contextmanager
def _writer(job: SegmentJob, packets: Path, stamps: Stamps, number: int) -> Iterator[SegmentWriter]:
    with output_errors(job.output):
        writer = SegmentWriter(
            partial_of(packets),
            container=job.output.name,
            info=job.info,
            size=job.size,
            codec=job.encode.codec,
            crf=job.encode.crf,
            preset=job.encode.speed,
            threads=job.threads,
            stamps=stamps,
            number=number,
            avoid_avx512=torch.backends.cpu.get_cpu_capability() == "AVX512",
        )
    with writer:
        yield writer


def _stamps(job: SegmentJob, before: Done | None) -> Stamps:
    stamps = Stamps(
        time_base=job.info.time_base,
        rate=job.info.rate or DEFAULT_RATE,
        from_zero=job.part is not None and job.part.start > 0,
    )
    if before is not None:
        stamps.go_on(before.last, Fraction(before.shift))
    return stamps


def _digest(frame: Frame) -> str:
    return hashlib.sha256(np.ascontiguousarray(frame.pixels).data).hexdigest()


def _is_last(frame: Frame | None, last: Done) -> bool:
    return frame is not None and frame.pts == last.pts and _digest(frame) == last.sha256


def _table_bytes(table: PacketTable, rows: list[tuple[float, ...]], times: list[int]) -> bytes:
    return safetensors.numpy.save(
        {
            "packets": table.rows,
            "extradata": np.frombuffer(table.extradata, np.uint8),
            "readings": np.array(rows, np.float64).reshape(-1, len(READINGS)),
            "pts": np.array(times, np.int64),
        }
    )


def read_table(
    path: Path,
) -> tuple[PacketTable, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """What a segment's table holds: its packets, and of each frame the readings and the pts read.

    Readings are N×6 in the order of :data:`READINGS`; a pts is :data:`NO_PTS` where there was none.
    """
    stored = safetensors.numpy.load_file(path)
    table = PacketTable(rows=stored["packets"], extradata=stored["extradata"].tobytes())
    return table, stored["readings"], stored["pts"]
