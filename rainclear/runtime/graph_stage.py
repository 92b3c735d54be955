"""A stage recorded once for each size of picture and replayed: one launch instead of hundreds."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from rainclear.runtime.stream_backends import StreamBackend
from rainclear.runtime.streams import DeviceStage

__all__ = ["GraphStage"]

_WARM_UP = 2
"""Frames that run as they are: the first allocates the state, the second reads it."""


class GraphStage:
    """Replays a stage from a CUDA graph; on backends without graphs it is the stage itself.

    A graph holds the addresses of its tensors, and frames lie in several slots; so pixels are
    copied into the graph's own buffers and out again, on the device, at a thousandth of the
    network's time. The graph of one size is kept; recording another takes two frames and a moment.

    Args:
        stage: Everything that it keeps from frame to frame is in tensors that stay where they are.
        backend: The device; its lane calls this stage.
    """

    def __init__(self, stage: DeviceStage, backend: StreamBackend) -> None:
        self._stage, self._backend = stage, backend
        self._forget(None)

    @property
    def resident(self) -> tuple[Tensor, ...]:
        """Those of the stage, and the buffers of the graph."""
        return (*self._stage.resident, *self._buffers)

    def reset(self) -> None:
        """Forget the frames seen so far; the graph stays."""
        self._stage.reset()

    @torch.inference_mode()
    def __call__(self, source: Tensor, result: Tensor, reading: Tensor) -> None:
        """Derain one frame; see :class:`rainclear.runtime.streams.DeviceStage`."""
        kind = (tuple(source.shape), source.dtype)
        if kind != self._kind:
            self._forget(kind)
        if self._replay is None and self._seen >= _WARM_UP:
            self._record(source, result, reading)
        if self._replay is None:
            self._seen += 1
            self._stage(source, result, reading)
            return
        taken, given, notes = self._buffers
        taken.copy_(source)
        self._replay()
        result.copy_(given)
        reading.copy_(notes)

    def _forget(self, kind: tuple[tuple[int, ...], torch.dtype] | None) -> None:
        self._kind, self._seen = kind, 0
        self._replay: Callable[[], object] | None = None
        self._buffers: tuple[Tensor, ...] = ()

    def _record(self, *like: Tensor) -> None:
        buffers = tuple(torch.empty_like(tensor) for tensor in like)
        try:
            self._replay = self._backend.capture(lambda: self._stage(*buffers))
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            warnings.warn(f"no CUDA graph of this network: {reason}; it runs without", stacklevel=2)
            self._seen = -(2**62)
            return
        self._buffers = buffers
