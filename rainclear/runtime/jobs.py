"""Whole jobs: a video or picture in, a derained one out, and a report of how it went."""

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rainclear.errors import InputError, OutputError
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor, Sink
from rainclear.runtime.gate import GateChoice
from rainclear.runtime.sidecar import Sidecar
from rainclear.video import VideoReader, VideoWriter, is_image, read_image, write_image
from rainclear.video.part import Part

__all__ = ["EncodeOptions", "JobReport", "derain_file", "derain_picture", "derain_video"]

Path_ = str | os.PathLike[str]
OnFrame = Callable[[int, int | None, float], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeOptions:
    """How a video is encoded.

    Attributes:
        codec: FFmpeg name of the encoder.
        crf: Quality in the encoder's own scale, lower is better; ``None`` for its default.
        preset: Speed in the encoder's own words; ``None`` is ``veryfast`` for x264 and x265, and
            the encoder's default for others.
    """

    codec: str = "libx264"
    crf: float | None = 18
    preset: str | None = None

    @property
    def speed(self) -> str | None:
        """The preset to use."""
        return self.preset or ("veryfast" if self.codec in ("libx264", "libx265") else None)


@dataclass(kw_only=True, slots=True)
class JobReport:
    """How one file went.

    Attributes:
        input: The file read.
        output: The file written.
        frames: Frames written.
        resumed: Frames among them that an earlier run had made.
        seconds: Wall time from opening to the finished file.
        cpu_seconds: Processor time of the whole process meanwhile, all threads.
        stage_seconds: Wall time that ``decode``, ``model`` and ``encode`` worked; they overlap.
        rain_score_mean: Mean rain score of the frames, 0..1.
        dry_frames: Frames that the rain gate let pass as they came.
        corrupt_packets: Packets that could not be decoded and were skipped.
        truncated: Whether the input ends before it should.
        notes: One line for each loss or change that a user should know.
        peak_rss_mb: Largest resident memory of the process so far, MiB.
    """

    input: str
    output: str
    frames: int = 0
    resumed: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    rain_score_mean: float = 0.0
    dry_frames: int = 0
    corrupt_packets: int = 0
    truncated: bool = False
    notes: list[str] = field(default_factory=list)
    peak_rss_mb: float = 0.0

    @property
    def fps(self) -> float:
        """Frames of this run a second, from opening the input to the finished output."""
        return (self.frames - self.resumed) / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        return {**asdict(self), "fps": self.fps}


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def side_by_side(rainy: Any, derained: Any, rotation: int) -> Any:
    """Both pictures as stored, so that a player that turns them shows rainy | derained."""
    turns = rotation // 90
    shown = np.concatenate([np.rot90(rainy, turns), np.rot90(derained, turns)], axis=1)
    return np.ascontiguousarray(np.rot90(shown, -turns))


def derain_video(
    source: Path_,
    output: Path_,
    *,
    derainer: Derainer | None = None,
    model: str = "d-daiam-rt",
    device: str = "auto",
    precision: str = "auto",
    gate: GateChoice = None,
    part: Part | None = None,
    stream: int | None = None,
    sidecar: Sidecar | None = None,
    compare: bool = False,
    encode: EncodeOptions = EncodeOptions(),
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Take the rain out of a video file. Decoding, the network and encoding overlap.

    Every frame keeps its time stamp; sound, subtitles, rotation and colours are kept. The output
    appears under its name only when it is complete.

    Args:
        source: Any video that FFmpeg reads.
        output: The file to write; its suffix names the container.
        derainer: A derainer to use, reset first; else one is made of the next four.
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        gate: Rain gate; by default the model's own, if it has one. ``False`` derains every frame.
        part: The part of the video to derain, if not all; sound and the like are cut to match.
        stream: Index of the video among all streams of the file; ``None`` for the main one.
        sidecar: Where the rain of every frame is written as JSON.
        compare: Write rainy | derained side by side.
        encode: Codec, quality and speed.
        overwrite: Whether an existing output may be replaced.
        on_frame: Called after every frame with the number derained, the number expected (``None``
            if unknown) and the rain score.

    Raises:
        InputError: The source is missing, no video, or nothing of it decodes.
        OutputError: The output exists, cannot be written, or the disk is full.
        ModelError: The model is unknown or its weights are not what was published.
        DeviceError: This machine has no such device.
    """
    started, cpu = time.perf_counter(), time.process_time()
    derainer = derainer or Derainer(model, device=device, precision=precision, gate=gate)
    derainer.reset()
    report = JobReport(input=os.fspath(source), output=os.fspath(output))
    frames, scores, dry, model_seconds = 0, 0.0, 0, 0.0
    with VideoReader(source, stream=stream, part=part) as reader:
        derainer.prepare((reader.info.height, reader.info.width), frames=reader.info.frames)
        turned = reader.info.rotation % 180 == 90
        writer = VideoWriter(
            output,
            template=reader,
            width=reader.info.width * (2 if compare and not turned else 1),
            height=reader.info.height * (2 if compare and turned else 1),
            codec=encode.codec,
            crf=encode.crf,
            preset=encode.speed,
            overwrite=overwrite,
        )
        with writer:
            with Executor(reader, {}) as decoded, Sink(writer.write) as sink:
                for frame in decoded:
                    begun = time.perf_counter()
                    (derained,) = derainer.stream([frame])
                    model_seconds += time.perf_counter() - begun
                    score = derained.metadata["rain_score"]
                    if compare:
                        both = side_by_side(frame.pixels, derained.pixels, frame.rotation)
                        derained = replace(derained, pixels=both)
                    sink.put(derained)
                    frames, scores = frames + 1, scores + score
                    dry += not derainer.reading.open
                    if sidecar:
                        sidecar.write(source, frame, derainer.reading)
                    if on_frame:
                        on_frame(frames, reader.info.frames, score)
            begun = time.perf_counter()
            writer.close()
            report.stage_seconds = {
                "decode": decoded.seconds["source"],
                "model": model_seconds,
                "encode": sink.seconds + time.perf_counter() - begun,
            }
        read = reader.report
    report.frames = writer.frames
    report.rain_score_mean, report.dry_frames = scores / max(1, writer.frames), dry
    report.corrupt_packets, report.truncated = read.corrupt_packets, read.truncated
    report.notes = ([read.message] if read.message else []) + writer.notes
    report.seconds = time.perf_counter() - started
    report.cpu_seconds = time.process_time() - cpu
    report.peak_rss_mb = peak_rss_mb()
    return report


def derain_picture(
    source: Path_,
    output: Path_,
    *,
    derainer: Derainer | None = None,
    model: str = "d-daiam-rt",
    device: str = "auto",
    precision: str = "auto",
    gate: GateChoice = None,
    sidecar: Sidecar | None = None,
    compare: bool = False,
    overwrite: bool = False,
) -> JobReport:
    """Take the rain out of one picture; see :func:`derain_video` for arguments and errors."""
    started, cpu = time.perf_counter(), time.process_time()
    derainer = derainer or Derainer(model, device=device, precision=precision, gate=gate)
    derainer.reset()
    if Path(output).exists() and not overwrite:
        raise OutputError(f"{output}: exists already; give another name or --overwrite")
    marks = [time.perf_counter()]
    frame = read_image(source)
    marks.append(time.perf_counter())
    derained = derainer.process(frame.pixels)
    if sidecar:
        sidecar.write(source, frame, derainer.reading)
    marks.append(time.perf_counter())
    if compare:
        derained = side_by_side(frame.pixels, derained, frame.rotation)
    write_image(output, derained, overwrite=overwrite)
    marks.append(time.perf_counter())
    steps = np.diff(marks).tolist()
    return JobReport(
        input=os.fspath(source),
        output=os.fspath(output),
        frames=1,
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu,
        stage_seconds=dict(zip(("decode", "model", "encode"), steps, strict=True)),
        rain_score_mean=derainer.rain_score,
        dry_frames=int(not derainer.reading.open),
        peak_rss_mb=peak_rss_mb(),
    )


def derain_file(
    source: Path_,
    output: Path_,
    *,
    derainer: Derainer,
    part: Part | None = None,
    stream: int | None = None,
    sidecar: Sidecar | None = None,
    compare: bool = False,
    encode: EncodeOptions = EncodeOptions(),
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Derain a picture or a video, told apart by the suffix; arguments as :func:`derain_video`."""
    if is_image(source):
        if part is not None or stream is not None:
            raise InputError(f"{source}: is a picture; parts and streams are of videos")
        return derain_picture(
            source,
            output,
            derainer=derainer,
            sidecar=sidecar,
            compare=compare,
            overwrite=overwrite,
        )
    return derain_video(
        source,
        output,
        derainer=derainer,
        part=part,
        stream=stream,
        sidecar=sidecar,
        compare=compare,
        encode=encode,
        overwrite=overwrite,
        on_frame=on_frame,
    )
