"""Where the lanes of a device pipeline run: CUDA streams and events, or the CPU in plain order.

A *lane* is a queue of work that runs in order; lanes run beside each other unless one waits for an
*event* of another. :class:`rainclear.runtime.recording.RecordingBackend` is the third kind.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from rainclear.errors import DeviceError

__all__ = ["CpuBackend", "CudaBackend", "Event", "Lane", "StreamBackend", "backend_for"]

Lane: TypeAlias = Any
"""What a backend gives out as a lane; only the backend looks inside."""
Event: TypeAlias = Any
"""What a backend gives out as an event; only the backend looks inside."""

_POLL = 0.0002

_RECORDING = threading.Lock()
"""Held while a graph is recorded: the device comes to rest first, which it cannot meanwhile."""


class StreamBackend(Protocol):
    """What a device pipeline needs of a device.

    The tensors that a launch reads and writes are named, so that a recording can be checked for
    races; backends that only run the work do not look at them.
    """

    def lane(self, name: str) -> Lane:
        """A new lane, whose work begins after all that was asked of the device before."""
        ...

    def event(self, name: str) -> Event:
        """A new event; it counts as passed until it is first recorded."""
        ...

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the host that the device can copy from and to by itself."""
        ...

    def device_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the device."""
        ...

    def launch(
        self,
        lane: Lane,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor],
        writes: Sequence[Tensor],
    ) -> None:
        """Queue work on a lane; returns before it is done."""
        ...

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        """Make work quick to repeat; called inside a launch, and so is what it returns.

        The work is not done yet, and repeats on the very tensors that it names now.

        Raises:
            RuntimeError: The device cannot repeat such work.
        """
        ...

    def on_host(
        self,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor] = (),
        writes: Sequence[Tensor] = (),
    ) -> None:
        """Do work on the host now; what is launched later sees its result."""
        ...

    def record(self, event: Event, lane: Lane) -> None:
        """Let the event pass once all that was launched on the lane so far is done."""
        ...

    def wait(self, event: Event, lane: Lane) -> None:
        """Hold back what is launched on the lane from now on until the event has passed."""
        ...

    def passed(self, event: Event) -> bool:
        """Whether the event has passed; does not wait."""
        ...

    def host_wait(self, event: Event, timeout: float) -> bool:
        """Wait on the host until the event has passed, ``timeout`` seconds at most."""
        ...


class CpuBackend:
    """Everything at once and in order: each launch is done when it returns."""

    def lane(self, name: str) -> Lane:
        """A name; there is one order of work only."""
        return name

    def event(self, name: str) -> Event:
        """A name; every event has passed when it is asked for."""
        return name

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Plain memory."""
        return torch.empty(tuple(shape), dtype=dtype)

    def device_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Plain memory."""
        return torch.empty(tuple(shape), dtype=dtype)

    def launch(
        self,
        lane: Lane,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor],
        writes: Sequence[Tensor],
    ) -> None:
        """Do the work now."""
        work()

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        """The work itself."""
        return work

    def on_host(
        self,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor] = (),
        writes: Sequence[Tensor] = (),
    ) -> None:
        """Do the work now."""
        work()

    def record(self, event: Event, lane: Lane) -> None:
        """Nothing to do: what was launched is done."""

    def wait(self, event: Event, lane: Lane) -> None:
        """Nothing to do: what was launched is done."""

    def passed(self, event: Event) -> bool:
        """Always."""
        return True

    def host_wait(self, event: Event, timeout: float) -> bool:
        """Always at once."""
        return True


class CudaBackend:
    """Streams, events and pinned memory of one CUDA device.

    Nothing in steady work calls ``synchronize()``: the host asks an event whether it has passed, so
    that a device that no longer answers ends in a time-out and not in a hang. Nor is
    ``record_stream`` needed, since the slots outlive the work on them.

    Args:
        device: A CUDA device.

    Raises:
        DeviceError: It is not one.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise DeviceError(f"device {device} has no CUDA streams; use the CPU backend for it")
        self._device = device
        # Nothing runs on it, so that buffers never lie in memory that the caller has given back,
        # but whose last kernels are still queued on the caller's stream.
        self._memory = torch.cuda.Stream(device)

    def lane(self, name: str) -> Lane:
        """A stream that begins after what the caller's stream was asked, such as the weights."""
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        return stream

    def event(self, name: str) -> Event:
        """An event without timing, which would cost."""
        return torch.cuda.Event()

    def host_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Pinned memory, so that copies do not hold up the host."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def device_buffer(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the device that no other stream has used."""
        with torch.cuda.stream(self._memory):
            return torch.empty(tuple(shape), dtype=dtype, device=self._device)

    def launch(
        self,
        lane: Lane,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor],
        writes: Sequence[Tensor],
    ) -> None:
        """Run the work with the lane as current stream; its kernels and copies are queued there."""
        with torch.cuda.stream(lane):
            work()

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        """A CUDA graph; recording it, once for a size, waits for the device."""
        graph = torch.cuda.CUDAGraph()
        lane = torch.cuda.current_stream(self._device)
        # Other threads, such as a detector's, may go on meanwhile.
        with (
            _RECORDING,
            torch.cuda.graph(graph, stream=lane, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay

    def on_host(
        self,
        name: str,
        work: Callable[[], object],
        *,
        reads: Sequence[Tensor] = (),
        writes: Sequence[Tensor] = (),
    ) -> None:
        """Do the work now."""
        work()

    def record(self, event: Event, lane: Lane) -> None:
        """Queue the event on the stream."""
        event.record(lane)

    def wait(self, event: Event, lane: Lane) -> None:
        """Queue a wait on the stream; the host goes on."""
        lane.wait_event(event)

    def passed(self, event: Event) -> bool:
        """Ask the driver."""
        return bool(event.query())

    def host_wait(self, event: Event, timeout: float) -> bool:
        """Ask the driver every 0.2 ms; the interpreter is free meanwhile."""
        end = time.monotonic() + timeout
        while not event.query():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL)
        return True


def backend_for(device: torch.device) -> StreamBackend:
    """The backend for a device."""
    return CudaBackend(device) if device.type == "cuda" else CpuBackend()
