"""A backend that writes down its schedule and the time it would take, and runs it on the CPU."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TypeAlias

import torch
from torch import Tensor

from rainclear.runtime.stream_backends import CpuBackend

__all__ = ["HOST", "Clock", "HostWait", "Launch", "Operation", "Record", "RecordingBackend", "Wait"]

HOST = "host"
"""Name of the lane that stands for the host itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """Work on a lane.

    Attributes:
        lane: Its name, ``HOST`` for the host itself.
        name: What it is.
        reads: Addresses of the tensors it reads only.
        writes: Addresses of the tensors it writes.
        start: Seconds from the start of the schedule by the clock.
        end: When it is done.
    """

    lane: str
    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """An event was recorded on a lane."""

    event: str
    lane: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """A lane waits for an event."""

    event: str
    lane: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostWait:
    """The host saw that an event has passed, by waiting or by asking."""

    event: str


Operation: TypeAlias = Launch | Record | Wait | HostWait


Duration: TypeAlias = float | Sequence[float]
"""Seconds of a piece of work, or those of the first, the second, ... time, over and over."""


class Clock:
    """When each piece of work would run, in one pass over the schedule.

    Lanes are queues, so work starts when all of these are over: what its lane did before, the waits
    of its lane, and the host's own time when it was launched. That makes one pass in the order of
    the host exact.

    Args:
        seconds: Duration of work by its name, one for all or several in turn; what is not named
            takes none.
    """

    def __init__(self, seconds: Mapping[str, Duration]) -> None:
        self._seconds = {
            name: cycle([value] if isinstance(value, int | float) else value)
            for name, value in seconds.items()
        }
        self._lanes: dict[str, float] = {}
        self._events: dict[str, float] = {}

    @property
    def now(self) -> float:
        """The host's time."""
        return self._lanes.get(HOST, 0.0)

    def run(self, lane: str, name: str) -> tuple[float, float]:
        """Start and end of work that is launched now."""
        start = max(self._lanes.get(lane, 0.0), self.now)
        self._lanes[lane] = end = start + next(self._seconds.get(name, cycle([0.0])))
        return start, end

    def record(self, event: str, lane: str) -> None:
        """The event passes when the lane gets there."""
        self._events[event] = max(self._lanes.get(lane, 0.0), self.now)

    def wait(self, event: str, lane: str) -> None:
        """The lane stands still until the event passes."""
        self._lanes[lane] = max(self._lanes.get(lane, 0.0), self._events.get(event, 0.0))

    def passed(self, event: str) -> bool:
        """Whether the event has passed at the host's time."""
        return self._events.get(event, 0.0) <= self.now


class RecordingBackend(CpuBackend):
    """Runs everything on the CPU and keeps a log of what a device would have been asked.

    Args:
        seconds: Duration of work by its name ("fill", "upload", "compute", "download", "tap",
            "empty"), as for :class:`Clock`. An event has passed when the simulated clock says so.

    Attributes:
        log: All operations, in the order of the host.
        lanes: Names of the lanes.
        clock: The simulated time.
    """

    def __init__(self, seconds: Mapping[str, Duration] | None = None) -> None:
        self.log: list[Operation] = []
        self.lanes: list[str] = []
        self.clock = Clock(seconds or {})
        self._events = 0
        self._buffers: list[Tensor] = []

    def lane(self, name: str) -> str:
        """The name."""
        self.lanes.append(name)
        return name

    def event(self, name: str) -> str:
        """The name with a number, since slots may be allocated again."""
        self._events += 1
        return f"{name} #{self._events}"

    def launch(
        self,
        lane: str,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor],
        writes: Sequence[Tensor],
    ) -> None:
        """Write the launch down, and do it."""
        start, end = self.clock.run(lane, name)
        self.log.append(
            Launch(
                lane=lane,
                name=name,
                reads=tuple(t.data_ptr() for t in reads),
                writes=tuple(t.data_ptr() for t in writes),
                start=start,
                end=end,
            )
        )
        work()

    def on_host(
        self,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor] = (),
        writes: Sequence[Tensor] = (),
    ) -> None:
        """Write it down as work of the host's lane, and do it."""
        self.launch(HOST, name, work, reads=reads, writes=writes)

    def record(self, event: str, lane: str) -> None:
        """Write it down."""
        self.clock.record(event, lane)
        self.log.append(Record(event=event, lane=lane))

    def wait(self, event: str, lane: str) -> None:
        """Write it down."""
        self.clock.wait(event, lane)
        self.log.append(Wait(event=event, lane=lane))

    def passed(self, event: str) -> bool:
        """Whether the event has passed in simulated time; written down if so, as the host knows."""
        passed = self.clock.passed(event)
        if passed:
            self.log.append(HostWait(event=event))
        return passed

    def host_wait(self, event: str, timeout: float) -> bool:
        """Move the host's time on, and write it down."""
        if self.clock.passed(event) and self.log[-1:] == [HostWait(event=event)]:
            return True
        self.clock.wait(event, HOST)
        self.log.append(HostWait(event=event))
        return True

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Plain memory that is never given back, so that an address means one buffer."""
        return self._kept(super().host_buffer(shape, dtype))

    def device_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Plain memory that is never given back, so that an address means one buffer."""
        return self._kept(super().device_buffer(shape, dtype))

    def _kept(self, buffer: Tensor) -> Tensor:
        self._buffers.append(buffer)
        return buffer
