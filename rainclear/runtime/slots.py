"""The memory of a device pipeline: two rings of slots, allocated once for a size of picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rainclear.runtime.device_gate import READING_SIZE
from rainclear.runtime.stream_backends import Event, StreamBackend

__all__ = ["DeviceSlot", "HostSlot", "Rings", "allocate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSlot:
    """Memory of the device for one frame.

    Attributes:
        source: H×W×3 pixels as uploaded.
        result: H×W×3 derained pixels, same dtype.
        reading: What the network saw of the rain: six floats.
        uploaded: ``source`` is ready.
        derained: ``result`` and ``reading`` are ready.
        downloaded: The download has consumed ``result`` and ``reading``.
        tapped: The tap has consumed ``result``.
    """

    source: Tensor
    result: Tensor
    reading: Tensor
    uploaded: Event
    derained: Event
    downloaded: Event
    tapped: Event


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSlot:
    """Pinned memory for one frame on its way; ``arrived``: result and reading are there."""

    source: Tensor
    result: Tensor
    reading: Tensor
    arrived: Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Rings:
    """Frame ``n`` uses slot ``n`` modulo the length of each ring."""

    device: tuple[DeviceSlot, ...]
    host: tuple[HostSlot, ...]


def allocate(
    backend: StreamBackend,
    shape: Sequence[int],
    dtype: torch.dtype,
    *,
    device_slots: int,
    host_slots: int,
) -> Rings:
    """Allocate both rings.

    Args:
        backend: Gives memory and events.
        shape: H, W, 3.
        dtype: Of the pixels.
        device_slots: Frames on the device at most.
        host_slots: Frames between hand-in and hand-out at most.
    """
    return Rings(
        device=tuple(
            DeviceSlot(
                source=backend.device_buffer(shape, dtype),
                result=backend.device_buffer(shape, dtype),
                reading=backend.device_buffer((READING_SIZE,), torch.float32),
                uploaded=backend.event(f"uploaded {n}"),
                derained=backend.event(f"derained {n}"),
                downloaded=backend.event(f"downloaded {n}"),
                tapped=backend.event(f"tapped {n}"),
            )
            for n in range(device_slots)
        ),
        host=tuple(
            HostSlot(
                source=backend.host_buffer(shape, dtype),
                result=backend.host_buffer(shape, dtype),
                reading=backend.host_buffer((READING_SIZE,), torch.float32),
                arrived=backend.event(f"arrived {n}"),
            )
            for n in range(host_slots)
        ),
    )
