"""A whole file through :func:`rainclear.derain_video`, and what each part of it costs alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from rainclear.frame import Frame
from rainclear.runtime.backends.machine import inspect_machine
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor
from rainclear.runtime.jobs import EncodeOptions, JobReport, derain_video
from rainclear.runtime.memory import keep_freed_memory, peak_rss_mb
from rainclear.video import VideoReader, VideoWriter

__all__ = ["EndToEnd", "derain_clip"]

_PART = 40  # frames that the network and the encoder are timed alone with


@dataclass(frozen=True, kw_only=True, slots=True)
class EndToEnd:
    """How the clip went.

    Attributes:
        frames: Frames of the clip.
        seconds: Wall time from opening the input to the finished file.
        cpu_seconds: Processor time meanwhile, all threads.
        cores: Cores that this process may use.
        stage_seconds: Wall time that ``decode``, ``model`` and ``encode`` worked; they overlap.
        cpu_ms: Processor time of a frame of each of the three when it runs alone.
        fps_without_encoding: Frames a second when the derained frames are dropped.
        peak_memory_mb: Largest resident memory of the process, MiB; ``None`` on Windows.
    """

    frames: int
    seconds: float
    cpu_seconds: float
    cores: int
    stage_seconds: dict[str, float]
    cpu_ms: dict[str, float]
    fps_without_encoding: float
    peak_memory_mb: float | None

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def cpu_utilisation(self) -> float:
        """Share of the cores' time that was used, 0..1."""
        return self.cpu_seconds / (self.seconds * self.cores)

    @property
    def share(self) -> dict[str, float]:
        """Share of the processor time: decode, model, encode, and ``rest`` for all else.

        The rest holds what parts cost each other where they share caches, too, and what the machine
        changed until the parts ran alone: on a busy one it is a few hundredths either way.
        """
        parts = {k: ms / 1000 * self.frames / self.cpu_seconds for k, ms in self.cpu_ms.items()}
        return {**parts, "rest": 1 - sum(parts.values())}

    @property
    def wall_over_ideal(self) -> float:
        """Wall time over that of the three parts' processor time spread over all cores."""
        return self.seconds * self.cores / (sum(self.cpu_ms.values()) / 1000 * self.frames)


def derain_clip(
    clip: Path,
    model: str,
    *,
    backend: str,
    device: str,
    precision: str = "auto",
    threads: int | None = None,
) -> EndToEnd:
    """Derain ``clip`` as ``rainclear derain`` does; best in a process of its own.

    Raises:
        ModelError: The model is unknown or has no weights.
        DeviceError: The backend does not run here.
    """
    keep_freed_memory()  # as the command does
    if threads:
        torch.set_num_threads(threads)
    derainer = Derainer(model, device=device, precision=precision, backend=backend)
    with VideoReader(clip) as reader:
        derainer.prepare((reader.info.height, reader.info.width), frames=0)
        for frame in islice(reader, 3):
            derainer.process(frame.pixels)
    out = clip.with_name(f"derained-{clip.name}")
    report = derain_video(clip, out, derainer=derainer, overwrite=True)
    peak = peak_rss_mb() or None
    return EndToEnd(
        frames=report.frames,
        seconds=report.seconds,
        cpu_seconds=report.cpu_seconds,
        cores=inspect_machine().cores,
        stage_seconds=report.stage_seconds,
        cpu_ms=_parts(clip, out, derainer),
        fps_without_encoding=_without_encoding(clip, derainer, report),
        peak_memory_mb=peak,
    )


def _without_encoding(clip: Path, derainer: Derainer, report: JobReport) -> float:
    derainer.reset()
    started = time.perf_counter()
    with VideoReader(clip) as reader, Executor(reader, {}) as decoded:
        for frame in decoded:
            derainer.process(frame.pixels)
    return report.frames / (time.perf_counter() - started)


def _parts(clip: Path, out: Path, derainer: Derainer) -> dict[str, float]:
    """Processor milliseconds of a frame that decoder, network and encoder take one by one."""
    frames: list[Frame] = []

    def decode() -> int:
        count = 0
        with VideoReader(clip) as reader:  # to the end: decoders work ahead of what is asked for
            for frame in reader:
                count += 1
                if len(frames) < _PART:
                    frames.append(frame)
        return count

    def model() -> int:
        derainer.reset()
        for frame in frames:  # not kept: the job has no fresh pages to pay for either
            derainer.process(frame.pixels)
        return len(frames)

    def encode() -> int:
        with VideoReader(clip) as template:
            options = EncodeOptions()
            writer = VideoWriter(
                out,
                template=template.info,
                codec=options.codec,
                crf=options.crf,
                preset=options.speed,
                overwrite=True,
                keep_streams=False,
            )
        with writer:
            for frame in frames:
                writer.write(frame)
        return len(frames)

    cpu_ms = {"decode": _cpu_ms(decode), "model": _cpu_ms(model)}
    derainer.reset()
    frames[:] = [replace(f, pixels=derainer.process(f.pixels)) for f in frames]
    return {**cpu_ms, "encode": _cpu_ms(encode)}


def _cpu_ms(work: Callable[[], int]) -> float:
    """Processor milliseconds for each of as many frames as ``work`` returns."""
    started = time.process_time()
    count = work()
    return 1000 * (time.process_time() - started) / count
