"""How many workers fit into a cluster, and what each of them gets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rainclear.errors import ConfigError

__all__ = ["Share", "shares"]

_CPUS_EACH = 4  # more threads gain little on frames of dashcam size


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What each of ``workers`` gets: whole processors, and a GPU or a part of one."""

    workers: int
    cpus: int
    gpus: float = 0.0


def shares(cpus: Sequence[float], gpus: Sequence[float], workers: int | None = None) -> Share:
    """Divide a cluster into equal shares; no share spans two machines.

    Args:
        cpus: Processors of each machine.
        gpus: GPUs of each machine, all 0 for work on processors.
        workers: How many workers; ``None`` for one a GPU, or one for every four processors.

    Raises:
        ConfigError: There is no room for that many.
    """
    if any(gpus):
        return _gpu_shares(cpus, gpus, workers)
    room = _room(cpus, 1)
    if workers is None:
        each = int(min(_CPUS_EACH, max(cpus, default=0)))
        workers = _room(cpus, each) if each else 0
    if not 1 <= workers <= room:
        raise ConfigError(f"the cluster has room for 1 to {room} workers, not for {workers}")
    largest = int(max(cpus))
    each = next(share for share in range(largest, 0, -1) if _room(cpus, share) >= workers)
    return Share(workers=workers, cpus=each)


def _gpu_shares(cpus: Sequence[float], gpus: Sequence[float], workers: int | None) -> Share:
    total = int(sum(gpus))
    workers = total if workers is None else workers
    # Several on one GPU once each has one.
    on_each = max(1, math.ceil(workers / max(1, total)))
    machines = [(c, int(g) * on_each) for c, g in zip(cpus, gpus, strict=True) if g >= 1]
    threads = min((int(c // w) for c, w in machines), default=0)
    if workers < 1 or threads < 1:
        raise ConfigError(
            f"{workers} workers on {total} GPUs need a processor each on the machines with GPUs; "
            "use fewer workers"
        )
    return Share(workers=workers, cpus=threads, gpus=1 / on_each)


def _room(cpus: Sequence[float], each: int) -> int:
    return sum(int(count // each) for count in cpus)
