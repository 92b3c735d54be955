"""The machine's own ceiling: how fast it gets through nothing but dense 3×3 convolutions."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional as F

from rainclear.bench.int8 import int8_convolution

__all__ = ["FORMATS", "INT8", "Ceiling", "dense_ceiling", "drift_of", "of_rounds"]

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
INT8 = "int8"

_CHANNELS = (32, 64, 128, 256)
_CPU_WORK, _GPU_WORK = 1.2e9, 1.2e11  # multiply-adds of one convolution


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """The best that dense convolutions reach in one number format.

    Attributes:
        gmac_per_s: Multiply-adds a second, in thousand millions.
        channels: Channels in and out of the convolution that reached it.
    """

    gmac_per_s: float
    channels: int


@torch.inference_mode()
def dense_ceiling(
    device: torch.device,
    format: str,
    *,
    repeats: int = 11,
    multiply_adds: float | None = None,
) -> Ceiling:
    """Time one 3×3 convolution of each of four widths; the best median counts.

    PyTorch's convolutions (oneDNN, cuDNN), channels last, with all of its threads; int8 is that of
    OpenVINO on a CPU, which must be installed. The pictures are the smaller the more channels they
    have, so that all widths have as much to do, and what the caches hold is a few MB.

    Args:
        device: Where.
        format: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        repeats: Timed runs of each width, after two that warm up.
        multiply_adds: Of one convolution.
    """
    work = multiply_adds or (_GPU_WORK if device.type == "cuda" else _CPU_WORK)
    best = Ceiling(gmac_per_s=0.0, channels=0)
    for channels in _CHANNELS:
        side = max(3, round((work / (9 * channels**2)) ** 0.5))
        if format == INT8:
            run = int8_convolution(channels, side)
        else:
            run = _convolution(channels, side, device, FORMATS[format])
        times = []
        for _ in range(repeats + 2):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        reached = 9 * channels**2 * side**2 / statistics.median(times[2:]) / 1e9
        if reached > best.gmac_per_s:
            best = Ceiling(gmac_per_s=reached, channels=channels)
    return best


def of_rounds(found: list[Ceiling]) -> dict[str, Any]:
    """The median of several rounds, of two in the middle the better one, and all of them."""
    ranked = sorted(found, key=lambda ceiling: ceiling.gmac_per_s)
    rounds = [ceiling.gmac_per_s for ceiling in found]
    return {**asdict(ranked[len(ranked) // 2]), "rounds": rounds}


def drift_of(rounds: list[float]) -> float:
    """By how much the later half of the rounds differs from the earlier one."""
    half = len(rounds) // 2
    return abs(statistics.mean(rounds[-half:]) / statistics.mean(rounds[:half]) - 1)


def _convolution(
    channels: int, side: int, device: torch.device, dtype: torch.dtype
) -> Callable[[], None]:
    x = torch.rand(1, channels, side, side, device=device, dtype=dtype)
    weight = torch.rand(channels, channels, 3, 3, device=device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = weight.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        F.conv2d(x, weight, padding=1)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run
