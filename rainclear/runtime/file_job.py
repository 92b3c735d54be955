"""One file through a derainer: how videos and pictures are read, derained and written.

The derainer's state is reset at the start of each file. Arguments and errors are those of
:func:`rainclear.derain_video`, with the options in one object.
"""

import os
import time
from pathlib import Path

import numpy as np

from rainclear.errors import InputError, OutputError
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor, Sink
from rainclear.runtime.options import JobOptions
from rainclear.runtime.outputs import OutputFrames, open_output, side_by_side
from rainclear.runtime.own_time import OwnTime
from rainclear.runtime.report import Clock, JobReport, OnFrame
from rainclear.runtime.sidecar import Sidecar
from rainclear.video import VideoReader, is_image, read_image, write_image

__all__ = ["run_file", "run_picture", "run_video"]

Path_ = str | os.PathLike[str]


def run_file(
    source: Path_,
    output: Path_,
    derainer: Derainer,
    options: JobOptions,
    *,
    sidecar: Sidecar | None = None,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Derain a picture or a video, told apart by the suffix."""
    if is_image(source):
        return run_picture(source, output, derainer, options, sidecar=sidecar)
    return run_video(source, output, derainer, options, sidecar=sidecar, on_frame=on_frame)


def run_video(
    source: Path_,
    output: Path_,
    derainer: Derainer,
    options: JobOptions,
    *,
    sidecar: Sidecar | None = None,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Derain a video. Decoding, the network and encoding overlap."""
    clock = Clock()
    derainer.reset()
    report = JobReport(input=os.fspath(source), output=os.fspath(output))
    frames, scores, dry = 0, 0.0, 0
    derained = OutputFrames(derainer, compare=options.compare)
    with VideoReader(source, stream=options.stream, part=options.part) as reader:
        derainer.prepare((reader.info.height, reader.info.width), frames=reader.info.frames)
        writer = open_output(output, reader, options)
        with writer:
            with Executor(reader, {}) as decoded, Sink(writer.write) as sink:
                own = OwnTime()
                for frame in decoded:
                    with own.work():
                        made = derained(frame)
                    sink.put(made)
                    reading = derainer.reading
                    frames, scores = frames + 1, scores + reading.score
                    dry += not reading.open
                    if sidecar:
                        sidecar.write(source, frame, reading)
                    if on_frame:
                        on_frame(frames, reader.info.frames, reading.score)
                overhead = own.seconds
            begun = time.perf_counter()
            writer.close()
            report.stage_seconds = {
                "decode": decoded.seconds["source"],
                "model": derained.seconds,
                "encode": sink.seconds + time.perf_counter() - begun,
            }
        read = reader.report
        report.overhead_seconds = overhead + decoded.overhead + sink.overhead
    report.frames = writer.frames
    report.rain_score_mean, report.dry_frames = scores / max(1, writer.frames), dry
    report.corrupt_packets, report.truncated = read.corrupt_packets, read.truncated
    report.notes = ([read.message] if read.message else []) + writer.notes
    return clock.note(report)


def run_picture(
    source: Path_,
    output: Path_,
    derainer: Derainer,
    options: JobOptions,
    *,
    sidecar: Sidecar | None = None,
) -> JobReport:
    """Derain a picture.

    Raises:
        InputError: Besides, a part or a stream of it is asked for.
    """
    if options.part is not None or options.stream is not None:
        raise InputError(f"{source}: is a picture; parts and streams are of videos")
    clock = Clock()
    derainer.reset()
    if Path(output).exists() and not options.overwrite:
        raise OutputError(f"{output}: exists already; give another name or --overwrite")
    marks = [time.perf_counter()]
    frame = read_image(source)
    marks.append(time.perf_counter())
    derained = derainer.process(frame.pixels)
    if sidecar:
        sidecar.write(source, frame, derainer.reading)
    marks.append(time.perf_counter())
    if options.compare:
        derained = side_by_side(frame.pixels, derained, frame.rotation)
    write_image(output, derained, overwrite=options.overwrite)
    marks.append(time.perf_counter())
    steps = np.diff(marks).tolist()
    report = JobReport(
        input=os.fspath(source),
        output=os.fspath(output),
        frames=1,
        stage_seconds=dict(zip(("decode", "model", "encode"), steps, strict=True)),
        rain_score_mean=derainer.rain_score,
        dry_frames=int(not derainer.reading.open),
    )
    return clock.note(report)
