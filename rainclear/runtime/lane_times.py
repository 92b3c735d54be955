"""Measures the parts of a device pipeline one by one, for the forecast of what overlap brings."""

import time
from collections.abc import Callable

import torch

from rainclear.errors import StageError
from rainclear.runtime.simulate import Costs
from rainclear.runtime.slots import allocate
from rainclear.runtime.stream_backends import StreamBackend
from rainclear.runtime.streams import DeviceStage

__all__ = ["measure_lanes"]

_WARM_UP = 4


def measure_lanes(
    stage: DeviceStage,
    backend: StreamBackend,
    size: tuple[int, int],
    *,
    frames: int = 30,
    timeout: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Costs:
    """Seconds a frame of each lane, each alone on the device.

    Args:
        stage: The work of the compute lane.
        backend: The device.
        size: Height and width of 8-bit pictures.
        frames: Frames to take the mean of.
        timeout: Seconds that each part may take.
        clock: Seconds.

    Raises:
        StageError: The device did not answer in time.

    Example:
        >>> costs = measure_lanes(stage, backend, (720, 1280))
        >>> simulate(costs, slots=3).fps
    """
    rings = allocate(backend, (*size, 3), torch.uint8, device_slots=1, host_slots=2)
    slot, (host, other) = rings.device[0], rings.host
    host.source.random_(0, 256)

    def seconds(name: str, work: Callable[[], object]) -> float:
        lane, end = backend.lane(name), backend.event(name)

        def run(count: int) -> float:
            begun = clock()
            for _ in range(count):
                backend.launch(lane, name, work, reads=(), writes=())
            backend.record(end, lane)
            if not backend.host_wait(end, timeout):
                raise StageError(f"the device did not finish {name} within {timeout:g} seconds")
            return clock() - begun

        run(_WARM_UP)
        return run(frames) / frames

    return Costs(
        upload=seconds("upload", lambda: slot.source.copy_(host.source, non_blocking=True)),
        compute=seconds("compute", lambda: stage(slot.source, slot.result, slot.reading)),
        download=seconds("download", lambda: host.result.copy_(slot.result, non_blocking=True)),
        fill=seconds("fill", lambda: other.source.copy_(host.source)),
        empty=seconds("empty", lambda: other.result.copy_(host.result)),
    )
