"""How fast a device pipeline would be, from the times of its parts: no device is needed.

The *real* :class:`rainclear.runtime.streams.DevicePipeline` runs over a recording backend, whose
clock plays the lanes; so the forecast is of the schedule that runs, not of a model of it.
"""

from dataclasses import asdict, dataclass

import numpy as np
from torch import Tensor

from rainclear.frame import Frame
from rainclear.runtime.recording import Launch, RecordingBackend
from rainclear.runtime.streams import DevicePipeline

__all__ = ["Costs", "Forecast", "simulate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Seconds a frame, as measured.

    Attributes:
        upload: Copy to the device.
        compute: The network.
        download: Copy from the device.
        fill: The host's copy into pinned memory.
        empty: The host's copy out of pinned memory.
        tap: What takes the result on the device; 0 for none.
    """

    upload: float
    compute: float
    download: float
    fill: float = 0.0
    empty: float = 0.0
    tap: float = 0.0

    @property
    def slowest(self) -> float:
        """Seconds of the slowest lane, the host among them."""
        return max(self.upload, self.compute, self.download, self.tap, self.fill + self.empty)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What the simulation says.

    Attributes:
        fps: Frames a second once the pipeline is full.
        latency: Seconds from the start of the host's copy in to the end of its copy out, the mean
            once the pipeline is full and frames are always at hand.
        busy: Share of the time that each lane works, by name.
        work: All pieces of work with their lanes and times.
    """

    fps: float
    latency: float
    busy: dict[str, float]
    work: tuple[Launch, ...]


class _Nothing:
    resident: tuple[Tensor, ...] = ()

    def reset(self) -> None: ...

    def __call__(self, source: Tensor, result: Tensor, reading: Tensor) -> None: ...


def simulate(
    costs: Costs, *, slots: int = 3, ahead: int | None = None, frames: int = 60
) -> Forecast:
    """Play ``frames`` frames through the pipeline's schedule.

    Args:
        costs: Seconds a frame of each part.
        slots: As for the pipeline.
        ahead: As for the pipeline.
        frames: At least 8; a quarter of them at each end is not counted.

    Raises:
        ValueError: Fewer than 8 frames.
    """
    if frames < 8:
        raise ValueError(f"frames must be at least 8, not {frames}")
    backend = RecordingBackend(asdict(costs))
    pipeline = DevicePipeline(
        _Nothing(), backend, slots=slots, ahead=ahead, tap=(lambda _: None) if costs.tap else None
    )
    pixels = np.zeros((1, 1, 3), np.uint8)
    for _ in pipeline.stream(Frame(pixels=pixels, index=n) for n in range(frames)):
        pass
    work = tuple(op for op in backend.log if isinstance(op, Launch))
    starts = [op.start for op in work if op.name == "fill"]
    ends = [op.end for op in work if op.name == "empty"]
    a, b = frames // 4, frames - frames // 4 - 1
    total = max(op.end for op in work)
    return Forecast(
        fps=(b - a) / (ends[b] - ends[a]) if ends[b] > ends[a] else float("inf"),
        latency=sum(ends[n] - starts[n] for n in range(a, b)) / (b - a),
        busy={
            lane: sum(op.end - op.start for op in work if op.lane == lane) / (total or 1.0)
            for lane in sorted({op.lane for op in work})
        },
        work=work,
    )
