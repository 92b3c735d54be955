"""What this machine has: processor, number formats, GPUs, packages."""

import importlib.metadata
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

__all__ = ["PACKAGES", "Machine", "cores_in_use", "inspect_machine", "load_average"]

PACKAGES = ("torch", "openvino", "onnxruntime", "onnxruntime-gpu", "onnx", "tensorrt")

_FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "AVX-512 VNNI": ("avx512_vnni", "avx512vnni"),
    "AVX-512 bf16": ("avx512_bf16", "avx512bf16"),
    "AMX bf16": ("amx_bf16",),
    "AMX int8": ("amx_int8",),
    "NEON": ("asimd", "neon"),
}

_STAT = Path("/proc/stat")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine as far as speed depends on it.

    Attributes:
        processor: Model name of the processor.
        cores: Cores this process may use.
        threads: Threads PyTorch uses.
        features: Instruction sets by name and whether the processor has them; ``None`` where the
            system does not tell.
        gpus: Names of the CUDA devices.
        packages: Installed versions; ``None`` if a package is not installed.
    """

    processor: str
    cores: int
    threads: int
    features: dict[str, bool | None]
    gpus: tuple[str, ...]
    packages: dict[str, str | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def inspect_machine() -> Machine:
    """Look at this machine; nothing heavier than PyTorch is imported."""
    fields = _cpuinfo()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    known = bool(flags)
    features = {
        name: any(f in flags for f in aliases) if known else None
        for name, aliases in _FEATURES.items()
    }
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Machine(
        processor=fields.get("model name") or platform.processor() or platform.machine(),
        cores=_cores(),
        threads=torch.get_num_threads(),
        features=features,
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(count)),
        packages={name: _version(name) for name in PACKAGES},
    )


def load_average() -> float | None:
    """Programs that wanted to run in the last minute, on average; ``None`` on Windows."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def cores_in_use(seconds: float = 2.0) -> float | None:
    """How many processors are busy over the next ``seconds``, whoever keeps them so.

    Where the system counts no ticks (Linux does) it is the load average, in which a program that
    has just ended still counts.
    """
    before = _busy_ticks()
    if before is None:
        return load_average()
    began = time.perf_counter()
    time.sleep(seconds)
    ticks, gone = (_busy_ticks() or before) - before, time.perf_counter() - began
    return round(ticks / os.sysconf("SC_CLK_TCK") / gone, 2)


def _busy_ticks() -> int | None:
    """Of all processors since the start of the system: all but idle and waiting for disks."""
    try:
        first = _STAT.read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError:
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user
    ticks = [int(count) for count in first.split()[1:9]]
    return sum(ticks) - sum(ticks[3:5])


def _cpuinfo() -> dict[str, str]:
    """The first processor's fields in /proc/cpuinfo; empty elsewhere than on Linux."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
