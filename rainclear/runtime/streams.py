"""The device pipeline: upload, network and download of neighbouring frames overlap.

Three lanes work beside each other, and a ring of device slots ties them together::

    upload    copy n → device      waits until slot n mod S was downloaded (frame n − S)
    compute   network              waits until frame n is uploaded
    download  copy n → host        waits until frame n is derained
    (tap)     a detector, say      waits until frame n is derained; upload waits for it, too

The host hands in and out through a longer ring of pinned memory. It waits for one thing only: that
the oldest frame has arrived. With S ≥ 3 the speed is that of the slowest lane, with S = 1 all is
serial. :mod:`rainclear.runtime.simulate` says how fast it gets before a device is there.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rainclear.errors import InputError, StageError
from rainclear.frame import Frame
from rainclear.runtime.device_gate import reading_of
from rainclear.runtime.slots import HostSlot, Rings, allocate
from rainclear.runtime.stream_backends import StreamBackend

__all__ = ["DevicePipeline", "DeviceStage"]

# torch computes little in uint16, so deep pixels travel as the same bits in int16.
_TRAVEL: dict[Any, tuple[torch.dtype, npt.DTypeLike]] = {
    np.dtype(np.uint8): (torch.uint8, np.uint8),
    np.dtype(np.uint16): (torch.int16, np.int16),
}


class DeviceStage(Protocol):
    """What the compute lane does with a frame.

    A stage never asks the device for a value (``float(tensor)``, ``.cpu()``), as that would hold up
    the host. It allocates on the compute lane alone.
    """

    @property
    def resident(self) -> tuple[Tensor, ...]:
        """Buffers that stay on the device from frame to frame, read and written by each call."""
        ...

    def reset(self) -> None:
        """Forget the frames seen so far; queued on the compute lane as a frame is."""
        ...

    def __call__(self, source: Tensor, result: Tensor, reading: Tensor) -> None:
        """Derain one frame.

        Args:
            source: H×W×3 RGB, uint8, or int16 that holds the bits of uint16.
            result: Written; as ``source``.
            reading: Written: six floats, see :func:`rainclear.runtime.device_gate.reading_of`.
        """
        ...


class DevicePipeline:
    """Frames through a stage on a device, in order, a few under way at a time.

    Args:
        stage: The work on the device.
        backend: The device.
        slots: Frames on the device at most: 3 let all lanes work, 1 is serial.
        ahead: Frames handed in before the first is handed out, at most; by default one more than
            ``slots``, so that the device never waits for the host. 1 gives the least latency.
        tap: Gets the derained pixels on the device (as ``result`` of the stage) in a lane of its
            own, such as a detector; it must not keep the tensor.
        timeout: Seconds that a frame may take.

    Raises:
        ValueError: ``slots`` or ``ahead`` is below 1.

    Example:
        >>> pipeline = DevicePipeline(DerainStage(network, descriptor), backend_for(device))
        >>> for frame in pipeline.stream(reader):
        ...     writer.write(frame)
    """

    def __init__(
        self,
        stage: DeviceStage,
        backend: StreamBackend,
        *,
        slots: int = 3,
        ahead: int | None = None,
        tap: Callable[[Tensor], object] | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._slots, self._ahead = slots, slots + 1 if ahead is None else ahead
        if slots < 1 or self._ahead < 1:
            raise ValueError(f"slots and ahead must be at least 1, not {slots} and {self._ahead}")
        self._stage, self._backend, self._tap, self._timeout = stage, backend, tap, timeout
        self._upload = backend.lane("upload")
        self._compute = backend.lane("compute")
        self._download = backend.lane("download")
        self._tapping = None if tap is None else backend.lane("tap")
        self._rings: Rings | None = None
        self._kind: tuple[Any, ...] | None = None
        self._count = 0
        self._waiting: deque[tuple[Frame, HostSlot]] = deque()

    def stream(self, frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        """Derain one stream of frames; a second call begins a new one.

        Yields:
            Each frame with its own time stamp, new pixels (or, where the rain gate is closed, those
            that came), ``metadata["rain_score"]``, and ``metadata["rain_reading"]``: all that the
            network saw of the rain, as :class:`rainclear.runtime.gate.RainReading`.

        Raises:
            InputError: A frame is not H×W×3 uint8 or uint16.
            StageError: The device did not finish a frame in time.
        """
        stage = self._stage
        self._backend.launch(
            self._compute, "reset", lambda: stage.reset(), reads=(), writes=stage.resident
        )
        try:
            for frame in frames:
                if self._kind != (kind := _kind(frame.pixels)):
                    # The buffers of the old size are free once their last frame has arrived.
                    while self._waiting:
                        yield self._collect()
                    self._begin(kind)
                self._submit(frame)
                while self._waiting and self._is_due():
                    yield self._collect()
            while self._waiting:
                yield self._collect()
        except BaseException:
            self._waiting.clear()
            with suppress(Exception):  # a device in trouble has told so already
                self._settle()
            raise

    def _begin(self, kind: tuple[Any, ...]) -> None:
        *shape, dtype = kind
        if self._rings is not None:
            self._settle()
        self._count = 0
        self._kind, self._rings = kind, None
        self._rings = allocate(
            self._backend,
            shape,
            _TRAVEL[dtype][0],
            device_slots=self._slots,
            host_slots=self._ahead,
        )

    def _submit(self, frame: Frame) -> None:
        """Queue all of one frame's work; nothing here waits."""
        assert self._rings is not None
        backend, pixels = self._backend, frame.pixels
        host = self._rings.host[self._count % self._ahead]
        slot = self._rings.device[self._count % self._slots]
        reused = self._count >= self._slots
        self._count += 1

        backend.on_host("fill", lambda: _fill(host.source, pixels), writes=(host.source,))

        if reused:
            backend.wait(slot.downloaded, self._upload)
            if self._tapping is not None:
                backend.wait(slot.tapped, self._upload)
        backend.launch(
            self._upload,
            "upload",
            lambda: slot.source.copy_(host.source, non_blocking=True),
            reads=(host.source,),
            writes=(slot.source,),
        )
        backend.record(slot.uploaded, self._upload)

        backend.wait(slot.uploaded, self._compute)
        backend.launch(
            self._compute,
            "compute",
            lambda: self._stage(slot.source, slot.result, slot.reading),
            reads=(slot.source,),
            writes=(slot.result, slot.reading, *self._stage.resident),
        )
        backend.record(slot.derained, self._compute)

        backend.wait(slot.derained, self._download)
        backend.launch(
            self._download,
            "download",
            lambda: (
                host.result.copy_(slot.result, non_blocking=True),
                host.reading.copy_(slot.reading, non_blocking=True),
            ),
            reads=(slot.result, slot.reading),
            writes=(host.result, host.reading),
        )
        backend.record(slot.downloaded, self._download)
        backend.record(host.arrived, self._download)

        if self._tap is not None:
            tap = self._tap
            backend.wait(slot.derained, self._tapping)
            backend.launch(
                self._tapping, "tap", lambda: tap(slot.result), reads=(slot.result,), writes=()
            )
            backend.record(slot.tapped, self._tapping)
        self._waiting.append((frame, host))

    def _is_due(self) -> bool:
        return len(self._waiting) >= self._ahead or self._backend.passed(
            self._waiting[0][1].arrived
        )

    def _collect(self) -> Frame:
        """The oldest frame under way; waits for it."""
        frame, host = self._waiting[0]
        if not self._backend.host_wait(host.arrived, self._timeout):
            raise StageError(
                f"the device did not finish frame {frame.index} within {self._timeout:g} seconds"
            )
        self._waiting.popleft()
        pixels = np.empty_like(frame.pixels, order="C")
        self._backend.on_host(
            "empty",
            lambda: np.copyto(pixels, host.result.numpy().view(pixels.dtype)),
            reads=(host.result, host.reading),
        )
        reading = reading_of(host.reading)
        notes = {**frame.metadata, "rain_score": reading.score, "rain_reading": reading}
        return replace(frame, pixels=pixels, metadata=notes)

    def _settle(self) -> None:
        """Let the lanes come to rest, as queued work still uses the slots; not in steady work."""
        end = self._backend.event("end")
        for lane in (self._upload, self._compute, self._download, self._tapping):
            if lane is not None:
                self._backend.record(end, lane)
                self._backend.host_wait(end, self._timeout)


def _kind(pixels: Any) -> tuple[Any, ...]:
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.ndim != 3
        or pixels.shape[2] != 3
        or not pixels.size
        or pixels.dtype not in _TRAVEL
    ):
        what = getattr(pixels, "shape", type(pixels).__name__)
        raise InputError(f"a frame must be an H×W×3 array of uint8 or uint16, not {what}")
    return (*pixels.shape, pixels.dtype)


def _fill(buffer: Tensor, pixels: npt.NDArray[Any]) -> None:
    np.copyto(buffer.numpy().view(pixels.dtype), pixels)
