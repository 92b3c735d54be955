"""A whole job in segments, that goes on where it was stopped."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from rainclear.frame import Frame
from rainclear.runtime.carry import settings_of
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor
from rainclear.runtime.job_files import TABLE
from rainclear.runtime.job_folder import JobFolder
from rainclear.runtime.job_identity import input_identity, options_identity
from rainclear.runtime.job_list import Ending
from rainclear.runtime.options import JobOptions
from rainclear.runtime.outputs import open_output
from rainclear.runtime.report import Clock, JobReport, OnFrame
from rainclear.runtime.segment_job import SEGMENT_FRAMES, SegmentJob, plan_segments
from rainclear.runtime.segment_join import join_segments
from rainclear.runtime.segment_source import frames_since
from rainclear.runtime.segment_table import frames_in
from rainclear.runtime.segments import derain_segment
from rainclear.runtime.sidecar import Sidecar
from rainclear.video import VideoReader, VideoWriter
from rainclear.video.part import Cut

__all__ = ["derain_in_segments"]


def derain_in_segments(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    derainer: Derainer,
    options: JobOptions,
    *,
    made_with: Mapping[str, str],
    length: int = SEGMENT_FRAMES,
    sidecar: Sidecar | None = None,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Derain a video file so that, killed at any time, the same call goes on where it stopped.

    The result equals that of a call that nobody disturbed, packet for packet, on the same machine.
    It differs from that of :func:`rainclear.derain_video` by a key frame at each segment's start.

    Args:
        source: Any video that FFmpeg reads.
        output: The file to write. Segments are collected in ``OUTPUT.part/``, which goes with the
            last step, so that the disk has to hold the output twice.
        derainer: The derainer to use, reset or put into the state of the last segment first.
        options: What to derain of the source, and how the output is made. With ``overwrite``, a
            folder of another job may be replaced as well.
        made_with: What it was made with, by names for people: the checksum of its weights, the
            precision. A job that was begun with something else does not go on.
        length: Frames of a segment.
        sidecar: Where the rain of every frame is written as JSON, once the video is whole.
        on_frame: As in :func:`rainclear.derain_video`; called once at the start, with what is done.

    Raises:
        InputError: The source cannot be read.
        OutputError: The output exists or cannot be written, the disk is full, or the folder belongs
            to a job with another input or other options. Finished segments are kept.
    """
    clock = Clock()
    source, output = Path(source), Path(output)
    with VideoReader(source, threads=1, stream=options.stream, part=options.part) as reader:
        info = reader.info
    threads = min(16, os.cpu_count() or 1)
    job = SegmentJob(source=source, output=output, info=info, options=options, threads=threads)
    # What the container or the encoder refuses is an error now, not after hours.
    open_output(output, info, options, threads=threads).abort()
    derainer.reset()
    derainer.prepare((info.height, info.width), frames=info.frames)
    identity = {
        **input_identity(source),
        **options_identity(options, length),
        **settings_of(derainer, (info.height, info.width)),
        **made_with,
    }
    seconds = {"decode": 0.0, "model": 0.0, "encode": 0.0}
    with JobFolder(output, identity, threads=threads, overwrite=options.overwrite) as folder:
        job = replace(job, threads=folder.threads)
        resumed = sum(done.frames for done in folder.done)
        if resumed and on_frame:
            on_frame(resumed, info.frames, 0.0)
        if folder.ending is None:
            _make_segments(job, derainer, folder, length, seconds, on_frame)
        ending = folder.ending
        assert ending is not None
        cut = None
        if options.part is not None and not options.part.whole:
            cut = Cut(begin=_fraction(folder.begin), end=_fraction(ending.end))
        begun = time.perf_counter()
        writer = join_segments(job, folder.done, folder.path, cut=cut)
        seconds["encode"] += time.perf_counter() - begun
        report = _report(job, folder, writer, sidecar)
        folder.remove()
    report.resumed, report.stage_seconds = resumed, seconds
    return clock.note(report)


def _make_segments(
    job: SegmentJob,
    derainer: Derainer,
    folder: JobFolder,
    length: int,
    seconds: dict[str, float],
    on_frame: OnFrame | None,
) -> None:
    """Make all segments that are not finished."""
    before = folder.done[-1] if folder.done else None
    with frames_since(job, before) as (reader, frames):
        if before is None:
            begin = reader.cut.begin if reader.cut else None
        else:
            begin = _fraction(folder.begin)
        first = before.first + before.frames if before else 0
        with Executor(frames, {}) as decoded:
            coming, fresh = iter(decoded), True
            for segment in plan_segments(length=length, first=first):
                made = derain_segment(
                    coming,
                    segment,
                    job=job,
                    derainer=derainer,
                    folder=folder.path,
                    before=before,
                    fresh=fresh,
                    on_frame=on_frame,
                )
                if made is None:
                    break
                before, fresh = made[0].model_copy(update={"intact": _intact(reader)}), False
                for name, spent in made[1].items():
                    seconds[name] += spent
                folder.add(before, begin=None if begin is None else str(begin))
            seconds["decode"] += decoded.seconds["source"]
        read, end = reader.report, reader.cut.end if reader.cut else None
    folder.finish(
        Ending(
            end=None if end is None else str(end),
            corrupt_packets=read.corrupt_packets,
            truncated=read.truncated,
            message=read.message,
        )
    )


def _report(
    job: SegmentJob, folder: JobFolder, writer: VideoWriter, sidecar: Sidecar | None
) -> JobReport:
    report = JobReport(input=str(job.source), output=str(job.output), frames=writer.frames)
    scores = 0.0
    for done in folder.done:
        rows = frames_in(folder.file(done.number, TABLE))
        for number, (reading, pts) in enumerate(zip(rows.readings, rows.stamps, strict=True)):
            scores += reading.score
            report.dry_frames += not reading.open
            if sidecar:
                index, time_base = done.first + number, job.info.time_base
                frame = Frame(pixels=None, pts=pts, time_base=time_base, index=index)
                sidecar.write(job.source, frame, reading)
    ending = folder.ending or Ending()
    report.rain_score_mean = scores / max(1, report.frames)
    report.corrupt_packets, report.truncated = ending.corrupt_packets, ending.truncated
    stamped = dict.fromkeys(note for done in folder.done for note in done.notes)
    report.notes = [
        *folder.notes,
        *([ending.message] if ending.message else []),
        *stamped,
        *writer.notes,
    ]
    return report


def _intact(reader: VideoReader) -> bool:
    return reader.report.message is None


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)
