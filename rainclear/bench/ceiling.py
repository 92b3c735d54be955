"""The machine's own ceiling: how fast it gets through nothing but dense 3×3 convolutions."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch.nn import functional as F

__all__ = ["FORMATS", "Ceiling", "dense_ceiling"]

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

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

    PyTorch's convolutions (oneDNN, cuDNN), channels last, with all of its threads. The pictures are
    the smaller the more channels they have, so that all widths have as much to do, and what the
    caches hold is a few MB.

    Args:
        device: Where.
        format: ``fp32``, ``bf16`` or ``fp16``.
        repeats: Timed runs of each width, after two that warm up.
        multiply_adds: Of one convolution.
    """
    work = multiply_adds or (_GPU_WORK if device.type == "cuda" else _CPU_WORK)
    dtype, best = FORMATS[format], Ceiling(gmac_per_s=0.0, channels=0)
    for channels in _CHANNELS:
        side = max(3, round((work / (9 * channels**2)) ** 0.5))
        like = {"device": device, "dtype": dtype}
        x = torch.rand(1, channels, side, side, **like)  # type: ignore[call-overload]
        weight = torch.rand(channels, channels, 3, 3, **like)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
        weight = weight.contiguous(memory_format=torch.channels_last)
        times = []
        for i in range(repeats + 2):
            started = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if i >= 2:
                times.append(time.perf_counter() - started)
        reached = 9 * channels**2 * side**2 / statistics.median(times) / 1e9
        if reached > best.gmac_per_s:
            best = Ceiling(gmac_per_s=reached, channels=channels)
    return best
