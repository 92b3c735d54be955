"""A whole file through :func:`rainclear.derain_video`, and what each part of it costs alone."""

import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from rainclear.bench.clip import there_and_back
from rainclear.frame import Frame
from rainclear.runtime.backends.machine import inspect_machine
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor
from rainclear.runtime.jobs import EncodeOptions, derain_video
from rainclear.runtime.memory import keep_freed_memory, peak_rss_mb
from rainclear.video import VideoReader, VideoWriter

__all__ = ["EndToEnd", "derain_clip"]

_PART = 40  # frames that the network and the encoder are timed alone with, over and over
_OVER = 3
_TURNS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class EndToEnd:
    """How the clip went.

    Attributes:
        frames: Frames of the clip.
        seconds: Wall time from opening the input to the finished file.
        cpu_seconds: Processor time meanwhile, all threads.
        overhead_seconds: What of that our own threads took outside of decoder, network and encoder.
        cores: Cores that this process may use.
        stage_seconds: Wall time that ``decode``, ``model`` and ``encode`` worked; they overlap.
        cpu_ms: Processor time of a frame of each of the three when it runs alone, in turns.
        fps_without_encoding: Frames a second when the derained frames are dropped.
        peak_memory_mb: Largest resident memory of the process, MiB; ``None`` on Windows.
    """

    frames: int
    seconds: float
    cpu_seconds: float
    overhead_seconds: float
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

        The rest is what our own threads took, counted while the job ran: queues, hand-overs,
        bookkeeping. The others are split as they are alone.
        """
        alone = sum(self.cpu_ms.values())
        rest = self.overhead_seconds / self.cpu_seconds
        return {**{k: (1 - rest) * ms / alone for k, ms in self.cpu_ms.items()}, "rest": rest}

    @property
    def wall_over_ideal(self) -> float:
        """Wall time over the processor time of the three parts spread over all cores."""
        return self.seconds * self.cores / (self.cpu_seconds - self.overhead_seconds)

    @property
    def parts_over_alone(self) -> float:
        """Processor time of the three parts in the job, over what they take one by one.

        They share caches and memory there. On a machine with other users it is a tenth either way,
        as they are not at work at the same minute.
        """
        alone = sum(self.cpu_ms.values()) / 1000 * self.frames
        return (self.cpu_seconds - self.overhead_seconds) / alone


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
    cpu_ms, fps = _alone(clip, out, derainer)
    return EndToEnd(
        frames=report.frames,
        seconds=report.seconds,
        cpu_seconds=report.cpu_seconds,
        overhead_seconds=report.overhead_seconds,
        cores=inspect_machine().cores,
        stage_seconds=report.stage_seconds,
        cpu_ms=cpu_ms,
        fps_without_encoding=fps,
        peak_memory_mb=peak,
    )


def _alone(clip: Path, out: Path, derainer: Derainer) -> tuple[dict[str, float], float]:
    """Processor milliseconds of a frame of each part, and frames a second without encoding.

    In turns, each part between two passes over the file: what else the machine does meets them
    all.
    """
    frames = _first(clip)
    derainer.reset()
    derained = [replace(f, pixels=derainer.process(f.pixels)) for f in frames]
    parts = {
        "decode": partial(_decode, clip),
        "model": partial(_model, frames, derainer),
        "encode": partial(_encode, derained, clip, out),
    }
    cpu, count = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0)
    seconds, shown = 0.0, 0
    for turn in range(_TURNS):
        if turn:
            begun = time.perf_counter()
            shown += _into_nothing(clip, derainer)
            seconds += time.perf_counter() - begun
        for name, part in parts.items():
            used = time.process_time()
            count[name] += part()
            cpu[name] += time.process_time() - used
    return {name: 1000 * cpu[name] / count[name] for name in parts}, shown / seconds


def _first(clip: Path) -> list[Frame]:
    with VideoReader(clip) as reader:
        return list(islice(reader, _PART))


def _into_nothing(clip: Path, derainer: Derainer) -> int:
    derainer.reset()
    count = 0
    with VideoReader(clip) as reader, Executor(reader, {}) as decoded:
        for frame in decoded:
            derainer.process(frame.pixels)
            count += 1
    return count


def _decode(clip: Path) -> int:
    """To the end: decoders work ahead of what is asked for."""
    with VideoReader(clip) as reader:
        return sum(1 for _ in reader)


def _model(frames: list[Frame], derainer: Derainer) -> int:
    """What comes out is not kept: the job has no fresh pages to pay for either."""
    derainer.reset()
    numbers = list(there_and_back(_OVER * len(frames), len(frames)))
    for number in numbers:
        derainer.process(frames[number].pixels)
    return len(numbers)


def _encode(frames: list[Frame], clip: Path, out: Path) -> int:
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
    numbers = list(there_and_back(_OVER * len(frames), len(frames)))
    first, step = frames[0].pts or 0, _step(frames)
    with writer:
        for i, number in enumerate(numbers):
            writer.write(replace(frames[number], pts=first + i * step, index=i))
    return len(numbers)


def _step(frames: list[Frame]) -> int:
    """Ticks from a frame to the next."""
    times = [frame.pts or 0 for frame in frames[:2]]
    return max(1, times[-1] - times[0])
