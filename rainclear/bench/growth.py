"""How time grows with the picture and with the stream, and whether memory stays."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rainclear.bench.clip import there_and_back
from rainclear.bench.timing import Row
from rainclear.runtime.backends.measure import moving_frames
from rainclear.runtime.derainer import Derainer

__all__ = ["LENGTHS", "SIZES", "Mark", "exponent", "pixels_exponent", "play"]

SIZES = ((180, 320), (360, 640), (720, 1280), (1080, 1920))
"""Heights and widths that the models are timed at."""

LENGTHS = (30, 100, 300, 1000, 3000)
"""Frames after which time and memory are noted; of the smallest size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A stream so far.

    Attributes:
        frames: Frames since its begin.
        seconds: Wall time since then.
        cpu_seconds: Processor time since then, all threads.
        memory_mb: Resident memory of the process, MiB; ``None`` where the system does not tell.
    """

    frames: int
    seconds: float
    cpu_seconds: float
    memory_mb: float | None


def play(
    model: str,
    *,
    backend: str,
    device: str,
    precision: str = "auto",
    threads: int | None = None,
    size: tuple[int, int] = SIZES[0],
    lengths: Sequence[int] = LENGTHS,
) -> list[Mark]:
    """Derain one long stream picture by picture, as an OpenCV loop does.

    Args:
        model: Model by name or folder.
        backend: What runs it.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        precision: auto, fp32, bf16 or fp16.
        threads: Threads of the CPU; ``None`` leaves PyTorch its choice.
        size: Height and width.
        lengths: Frames after which to note, ascending.

    Raises:
        ModelError: The model is unknown or has no weights.
        DeviceError: The backend does not run here.
    """
    if threads:
        torch.set_num_threads(threads)
    derainer = Derainer(model, device=device, precision=precision, backend=backend)
    frames = [
        (255 * frame[0].permute(1, 2, 0)).round().to(torch.uint8).contiguous().numpy()
        for frame in moving_frames(size, 8)
    ]
    for frame in frames[:3]:  # warms up
        derainer(frame)
    derainer.reset()
    marks: list[Mark] = []
    wanted = list(lengths)
    started, cpu = time.perf_counter(), time.process_time()
    for i, k in enumerate(there_and_back(wanted[-1], len(frames)), start=1):
        derainer(frames[k])
        if i == wanted[0]:
            wanted.pop(0)
            marks.append(
                Mark(
                    frames=i,
                    seconds=time.perf_counter() - started,
                    cpu_seconds=time.process_time() - cpu,
                    memory_mb=_resident_mb(),
                )
            )
    return marks


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """Least-squares slope of log y over log x: 1 is linear. ``None`` for fewer than two points."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    if len(logs) < 2:
        return None
    mx, my = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    spread = sum((x - mx) ** 2 for x, _ in logs)
    return sum((x - mx) * (y - my) for x, y in logs) / spread if spread else None


def pixels_exponent(rows: Sequence[Row]) -> float | None:
    """:func:`exponent` of the processor time over the pixels that the network saw."""
    return exponent([(row.size[0] * row.size[1], row.cpu_ms_median) for row in rows])


def _resident_mb() -> float | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024
    except (OSError, ValueError, IndexError):
        return None
