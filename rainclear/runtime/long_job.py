"""A whole job in segments, that goes on where it was stopped."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av

from rainclear.frame import Frame
from rainclear.runtime.carry import settings_of
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor
from rainclear.runtime.gate import RainReading
from rainclear.runtime.job_folder import TABLE, Ending, JobFolder, input_identity
from rainclear.runtime.jobs import EncodeOptions, JobReport, OnFrame, peak_rss_mb
from rainclear.runtime.segments import (
    NO_PTS,
    READINGS,
    SEGMENT_FRAMES,
    SegmentJob,
    derain_segment,
    frames_since,
    join_segments,
    open_output,
    plan_segments,
    read_table,
)
from rainclear.runtime.sidecar import Sidecar
from rainclear.video import VideoReader, VideoWriter
from rainclear.video.part import Cut, Part

__all__ = ["derain_in_segments"]


def derain_in_segments(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    derainer: Derainer,
    made_with: Mapping[str, str],
    length: int = SEGMENT_FRAMES,
    part: Part | None = None,
    stream: int | None = None,
    sidecar: Sidecar | None = None,
    compare: bool = False,
    encode: EncodeOptions = EncodeOptions(),
    overwrite: bool = False,
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
        made_with: What it was made with, by names for people: the checksum of its weights, the
            precision. A job that was begun with something else does not go on.
        length: Frames of a segment.
        part: The part of the video to derain.
        stream: Index of the video stream; ``None`` for the main one.
        sidecar: Where the rain of every frame is written as JSON, once the video is whole.
        compare: Write rainy | derained side by side.
        encode: Codec, quality and speed.
        overwrite: Whether an existing output may be replaced, and a folder of another job.
        on_frame: As in :func:`rainclear.derain_video`; called once at the start, with what is done.

    Raises:
        InputError: The source cannot be read.
        OutputError: The output exists or cannot be written, the disk is full, or the folder belongs
            to a job with another input or other options. Finished segments are kept.
    """
    started, cpu = time.perf_counter(), time.process_time()
    source, output = Path(source), Path(output)
    with VideoReader(source, threads=1, stream=stream, part=part) as reader:
        info = reader.info
    job = SegmentJob(
        source=source,
        output=output,
        info=info,
        part=part,
        stream=stream,
        compare=compare,
        encode=encode,
        threads=min(16, os.cpu_count() or 1),
    )
    # What the container or the encoder refuses is an error now, not after hours.
    open_output(job, overwrite=overwrite).abort()
    derainer.reset()
    derainer.prepare((info.height, info.width), frames=info.frames)
    identity = {
        **input_identity(source),
        **_options(job, length),
        **settings_of(derainer, (info.height, info.width)),
        **made_with,
    }
    seconds = {"decode": 0.0, "model": 0.0, "encode": 0.0}
    with JobFolder(output, identity, threads=job.threads, overwrite=overwrite) as folder:
        job = replace(job, threads=folder.threads)
        resumed = sum(done.frames for done in folder.done)
        if resumed and on_frame:
            on_frame(resumed, info.frames, 0.0)
        if folder.ending is None:
            _make_segments(job, derainer, folder, length, seconds, on_frame)
        ending = folder.ending
        assert ending is not None
        cut = None
        if part is not None and not part.whole:
            cut = Cut(begin=_fraction(folder.begin), end=_fraction(ending.end))
        begun = time.perf_counter()
        writer = join_segments(job, folder.done, folder.path, cut=cut, overwrite=overwrite)
        seconds["encode"] += time.perf_counter() - begun
        report = _report(job, folder, writer, sidecar)
        folder.remove()
    report.resumed, report.stage_seconds = resumed, seconds
    report.seconds = time.perf_counter() - started
    report.cpu_seconds = time.process_time() - cpu
    report.peak_rss_mb = peak_rss_mb()
    return report


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
        _, readings, times = read_table(folder.file(done.number, TABLE))
        for number, (row, pts) in enumerate(zip(readings.tolist(), times.tolist(), strict=True)):
            values = dict(zip(READINGS, row, strict=True))
            reading = RainReading(**{**values, "open": bool(values["open"])})
            scores += reading.score
            report.dry_frames += not reading.open
            if sidecar:
                stamp = None if pts == NO_PTS else pts
                frame = Frame(
                    pixels=None,
                    pts=stamp,
                    time_base=job.info.time_base,
                    index=done.first + number,
                )
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


def _options(job: SegmentJob, length: int) -> dict[str, str]:
    part = job.part or Part()
    libraries = "/".join(str(v[0]) for v in sorted(av.library_versions.values(), reverse=True))
    return {
        "--start": str(part.start),
        "--end": "none" if part.end is None else str(part.end),
        "--frames": "all" if part.frames is None else str(part.frames),
        "--stream": "main" if job.stream is None else str(job.stream),
        "--segment": str(length),
        "--compare": "yes" if job.compare else "no",
        "--codec": job.encode.codec,
        "--crf": "none" if job.encode.crf is None else f"{job.encode.crf:g}",
        "--preset": str(job.encode.speed),
        "version of rainclear": version("rainclear"),
        "build of FFmpeg": f"PyAV {av.__version__}, {av.ffmpeg_version_info}, {libraries}",
    }


def _intact(reader: VideoReader) -> bool:
    return reader.report.message is None


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)
