"""Which device and number format a network runs in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from rainclear.errors import DeviceError

__all__ = ["Precision", "one_thread", "resolve_device", "resolve_precision"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda[:n]`` as a torch device; ``auto`` takes a GPU if there is one.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(
                f"device {name!r} was asked for, but this machine has no CUDA; use --device cpu"
            )
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise DeviceError(f"there is no {name}; this machine has cuda:0 to cuda:{count - 1}")
    return device


def resolve_precision(name: str, device: torch.device, survives: tuple[str, ...]) -> torch.dtype:
    """Number format for the convolutions: float32, or autocast to bfloat16 or float16.

    ``auto`` is the first format of ``survives`` that is not fp32 on a GPU, bf16 on a CPU with
    instructions for it (AVX512-BF16 or AMX: a third less time), and fp32 elsewhere.

    Args:
        name: auto, fp32, bf16 or fp16.
        device: Where it runs.
        survives: Formats that the network was checked in.

    Raises:
        DeviceError: The name is unknown or the network does not survive that format.
    """
    if name not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise DeviceError(f"unknown precision {name!r}; use one of: {known}")
    if name == "auto":
        fast = [p for p in survives if p != "fp32"]
        if device.type == "cuda":
            return _DTYPES[fast[0]] if fast else torch.float32
        return torch.bfloat16 if "bf16" in fast and _cpu_has_bf16() else torch.float32
    if name not in survives:
        raise DeviceError(
            f"this network is not checked in {name}; use one of: {', '.join(survives)}"
        )
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 needs a GPU; on a CPU use --precision fp32 or bf16")
    return _DTYPES[name]


def _cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 by itself; emulated, it would be slower than fp32."""
    asks = (
        getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")
    )
    return any(ask is not None and ask() for ask in asks)


@contextmanager
def one_thread() -> Iterator[None]:
    """What PyTorch does on the CPU, the calling thread does alone.

    For small work between two frames: OpenMP's other threads go on turning for a while after they
    have helped with it, and where decoder, encoder or another runtime want the cores, they are in
    each other's way for a hundred times as long as the work takes.
    """
    threads = torch.get_num_threads()  # those of the calling thread
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
