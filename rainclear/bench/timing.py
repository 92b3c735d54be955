"""One row of the benchmark: one network on one backend, frame after frame."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rainclear.bench.ceiling import FORMATS, INT8
from rainclear.bench.isolate import keep_memory
from rainclear.bench.subject import load_subject, padded
from rainclear.runtime.backends.base import Backend, BackendName
from rainclear.runtime.backends.make import make_backend, make_program
from rainclear.runtime.backends.measure import feed, moving_frames
from rainclear.runtime.memory import keep_freed_memory, peak_rss_mb

__all__ = ["FORMAT_NAMES", "Row", "Task", "format_name", "pooled", "time_task"]

FORMAT_NAMES = {dtype: name for name, dtype in FORMATS.items()}

_WARM_UP = 3
_LEAST, _LONGEST = 3, 60.0  # frames; seconds, after which no further frame is begun
_SMALL = (64, 64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What to time.

    Attributes:
        model: Model by name or folder; ``None`` is the reference PReNet.
        backend: What runs it.
        size: Height and width of the frames.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        precision: auto, fp32, bf16 or fp16; for int8, of what is not quantised.
        threads: Threads of the CPU; ``None`` leaves PyTorch its choice.
        frames: Frames to time; fewer, but three at least, where they take more than a minute.
        seconds: More are timed until so much time has gone by.
    """

    model: str | None
    backend: BackendName
    size: tuple[int, int]
    device: str
    precision: str = "auto"
    threads: int | None = None
    frames: int = 50
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What was measured.

    Attributes:
        precision: Number format of the convolutions; ``int8`` if most of them are.
        weights: Whether the weights are the model's own.
        size: Width and height that the network saw: rounded up to what it takes.
        frames: Frames that were timed, of all rounds.
        rounds: Median wall time of a frame in each round.
        prepare_seconds: Until the backend was ready for the first frame.
        ms_median: Median wall time of a frame, state carried, tensors in and out: 8-bit pictures
            where the backend takes them, else floats.
        ms_p95: 95th percentile of the same.
        cpu_ms_median: Median processor time of a frame, all threads.
        peak_memory_mb: Largest resident memory of the process that did nothing else, MiB; ``None``
            on Windows, which does not tell.
        peak_gpu_memory_mb: Largest memory that PyTorch took on the GPU, MiB; ``None`` on a CPU.
        memory_kept: Whether the allocator was told to keep freed memory: all of it for the
            reference, what the commands have it keep for the models.
    """

    precision: str
    weights: Literal["published", "random"]
    size: list[int]
    frames: int
    rounds: list[float]
    prepare_seconds: float
    ms_median: float
    ms_p95: float
    cpu_ms_median: float
    peak_memory_mb: float | None
    peak_gpu_memory_mb: float | None
    memory_kept: bool

    @property
    def fps(self) -> float:
        """Frames a second at the median."""
        return 1000 / self.ms_median


def format_name(backend: BackendName, dtype: torch.dtype) -> str:
    """What convolutions are computed in where a backend's program is in ``dtype``."""
    return INT8 if backend == "openvino-int8" else FORMAT_NAMES[dtype]


def time_task(task: Task) -> Row:
    """Time one network on one backend; best in a process of its own.

    Three frames warm up before. On a CPU the reference warms up on small ones instead, as a frame
    takes it seconds; on a GPU, where cuDNN chooses its algorithms by the size, on full ones. Its
    allocator keeps its memory, which spares it the fresh pages of every layer (a fifth of its
    processor time, and more on some systems): the ratio to it is the smaller one.

    Raises:
        ModelError: The model is unknown, or its weights were altered.
        DeviceError: The backend does not run here.
    """
    if task.threads:
        torch.set_num_threads(task.threads)
    reference = task.model is None
    kept = keep_memory() if reference else keep_freed_memory()
    subject, device = load_subject(task.model), torch.device(task.device)
    size = padded(task.size, subject.descriptor)
    program = make_program(
        subject.network,
        subject.descriptor,
        backend=task.backend,
        device=device,
        precision=task.precision,
    )
    began = time.perf_counter()
    backend = make_backend(task.backend, program)
    backend.prepare(size)
    prepared = time.perf_counter() - began
    first = _warm_up_size(task, size)
    _run(backend, moving_frames(first, 3, device), _WARM_UP, device)
    frames = moving_frames(size, 3, device)
    times = _run(backend, frames, task.frames, device, seconds=task.seconds)
    wall, cpu = [t[0] for t in times], [t[1] for t in times]
    on_gpu = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return Row(
        precision=format_name(task.backend, program.dtype),
        weights=subject.weights,
        size=[size[1], size[0]],
        frames=len(times),
        rounds=[1000 * statistics.median(wall)],
        prepare_seconds=prepared,
        ms_median=1000 * statistics.median(wall),
        ms_p95=1000 * float(np.percentile(wall, 95)),
        cpu_ms_median=1000 * statistics.median(cpu),
        peak_memory_mb=peak_rss_mb() or None,
        peak_gpu_memory_mb=on_gpu,
        memory_kept=kept,
    )


def pooled(rows: Sequence[Row]) -> Row:
    """One row of those of several rounds: medians of times, the largest of memory."""

    def median(name: str) -> float:
        return statistics.median(getattr(row, name) for row in rows)

    def largest(name: str) -> float | None:
        return max((v for row in rows if (v := getattr(row, name)) is not None), default=None)

    return replace(
        rows[0],
        frames=sum(row.frames for row in rows),
        rounds=[ms for row in rows for ms in row.rounds],
        prepare_seconds=median("prepare_seconds"),
        ms_median=median("ms_median"),
        ms_p95=median("ms_p95"),
        cpu_ms_median=median("cpu_ms_median"),
        peak_memory_mb=largest("peak_memory_mb"),
        peak_gpu_memory_mb=largest("peak_gpu_memory_mb"),
    )


def _warm_up_size(task: Task, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the frames that warm up, where those that are timed have ``size``.

    They are small for the reference on a CPU alone, and there in eager mode, which takes any size:
    a graph backend would build another graph for them.
    """
    on_cpu = torch.device(task.device).type == "cpu"
    return _SMALL if task.model is None and task.backend == "eager" and on_cpu else size


def _run(
    backend: Backend,
    frames: list[Tensor],
    count: int,
    device: torch.device,
    *,
    seconds: float = 0.0,
) -> list[tuple[float, float]]:
    """Wall and processor seconds of each of ``count`` frames or more, the state carried along."""
    state: tuple[Tensor, ...] | None = None
    run, fed = feed(backend, frames)
    times: list[tuple[float, float]] = []
    began, gone = time.perf_counter(), 0.0
    while gone < seconds or (len(times) < count and (len(times) < _LEAST or gone < _LONGEST)):
        started, cpu = time.perf_counter(), time.process_time()
        out = run(fed[len(times) % len(fed)], state)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append((time.perf_counter() - started, time.process_time() - cpu))
        state, gone = out.state, time.perf_counter() - began
    return times
