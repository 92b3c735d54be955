"""A deraining network as a stage of the device pipeline; nothing in it waits for the device."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.config import GateSpec
from rainclear.errors import ModelError
from rainclear.nn.output import Derained
from rainclear.nn.recurrent import LASTS
from rainclear.nn.registry import Network
from rainclear.runtime.cuts import blank_thumbnail, same_scene, thumbnail
from rainclear.runtime.device import resolve_device, resolve_precision
from rainclear.runtime.device_gate import DeviceGate
from rainclear.runtime.gate import GateChoice, find_gate
from rainclear.runtime.graph_stage import GraphStage
from rainclear.runtime.load import load_single, network_of
from rainclear.runtime.stream_backends import backend_for
from rainclear.runtime.streams import DevicePipeline
from rainclear.zoo import find_model

__all__ = ["DerainStage", "device_pipeline"]


class DerainStage:
    """Normalises, pads, derains, gates and quantises on the device, and keeps the state there.

    The arithmetic is that of :class:`rainclear.Derainer`. Where that asks whether a cut was seen or
    the gate is open, this one lets the device choose between two tensors. All that is carried from
    frame to frame stays in the same memory, so that a CUDA graph can hold the work.

    Args:
        network: In evaluation mode.
        descriptor: Its entry in the registry.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        gate: Rain gate: dry frames pass as they came, bit for bit.
        compiled: Use ``torch.compile``; the first frame of a size then takes up to a minute.

    Raises:
        DeviceError: This machine has no such device or the network no such precision.
        ModelError: The network carries state, but has no ``initial_state``.
    """

    def __init__(
        self,
        network: nn.Module,
        descriptor: Network,
        *,
        device: str = "auto",
        precision: str = "auto",
        gate: GateSpec | None = None,
        compiled: bool = False,
    ) -> None:
        if descriptor.stateful and not hasattr(network, "initial_state"):
            raise ModelError(f"network {descriptor.name!r} has state, but no initial_state(x)")
        self._device = resolve_device(device)
        self._dtype = resolve_precision(precision, self._device, descriptor.precisions)
        self._network = cast(
            Any,
            network.to(
                self._device,
                memory_format=torch.channels_last,  # type: ignore[call-overload]
            ).eval(),
        )
        self._run = torch.compile(self._network, dynamic=False) if compiled else self._network
        self._descriptor = descriptor
        self._gate = DeviceGate(gate, self._device)
        self._thumbnail = blank_thumbnail(self._device)
        self._running = torch.zeros((), dtype=torch.bool, device=self._device)
        self._frames = torch.zeros((), dtype=torch.int64, device=self._device)
        self._state: tuple[Tensor, ...] | None = None
        self._size: torch.Size | None = None

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._device

    @property
    def resident(self) -> tuple[Tensor, ...]:
        """The state, what is known of it, and the coarse picture of the frame before."""
        own = (self._running, self._frames, self._thumbnail)
        return (*own, *self._gate.resident, *(self._state or ()))

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget the frames seen so far; see :class:`rainclear.runtime.streams.DeviceStage`."""
        self._running.zero_()
        self._gate.reset()

    @torch.inference_mode()
    def __call__(self, source: Tensor, result: Tensor, reading: Tensor) -> None:
        """Derain one frame; see :class:`rainclear.runtime.streams.DeviceStage`."""
        height, width, _ = source.shape
        x = self._normalise(source)
        state = self._state_for(x) if self._descriptor.stateful else None
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            out: Derained = self._run(x, state)
        self._keep(out.state)
        fresh = self._frames.remainder(LASTS) == 1
        is_open = self._gate(out, height, width, fresh=fresh, reading=reading)
        derained = _quantised(out.image[..., :height, :width], result.dtype)
        result.copy_(derained if is_open is None else torch.where(is_open, derained, source))

    def _normalise(self, source: Tensor) -> Tensor:
        """1×3×H×W float in [0, 1], channels-last, padded by replication to the size multiple."""
        if source.dtype == torch.uint8:
            pixels, scale = source.float(), 255.0
        else:
            pixels, scale = source.int().bitwise_and_(0xFFFF).float(), 65535.0
        x = pixels.mul_(1.0 / scale).permute(2, 0, 1)[None]
        m = self._descriptor.size_multiple
        bottom, right = -source.shape[0] % m, -source.shape[1] % m
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        return x.contiguous(memory_format=torch.channels_last)

    def _state_for(self, x: Tensor) -> tuple[Tensor, ...]:
        """The state of the frame before, or a fresh one at the start and where a scene was cut."""
        coarse = thumbnail(x)
        state: tuple[Tensor, ...] = self._network.initial_state(x)
        if self._state is None or x.shape != self._size:
            # No frame of this size came before; another size has a state of its own.
            self._state, self._size = None, x.shape
            self._frames.zero_()
        else:
            keep = self._running & same_scene(self._thumbnail, coarse)
            self._frames.mul_(keep)
            state = tuple(
                torch.where(keep, old, new.to(old.dtype))
                for old, new in zip(self._state, state, strict=True)
            )
        self._frames.add_(1)
        self._thumbnail.copy_(coarse)
        self._running.fill_(True)
        return state

    def _keep(self, state: tuple[Tensor, ...] | None) -> None:
        if state is None:
            return
        if self._state is None:
            self._state = tuple(torch.empty_like(tensor) for tensor in state)
        for kept, new in zip(self._state, state, strict=True):
            kept.copy_(new)


def _quantised(image: Tensor, dtype: torch.dtype) -> Tensor:
    """1×3×H×W in [0, 1], clamped and rounded, as H×W×3 of another dtype."""
    scale = 255.0 if dtype == torch.uint8 else 65535.0
    scaled = image[0].float().clamp(0.0, 1.0).mul_(scale).round_().permute(1, 2, 0)
    # By way of int32, whose lower bits int16 takes: a float above 32767 has no defined int16.
    return scaled.to(dtype) if dtype == torch.uint8 else scaled.int().to(dtype)


def device_pipeline(
    model: str = "d-daiam-rt",
    *,
    device: str = "auto",
    precision: str = "auto",
    gate: GateChoice = False,
    slots: int = 3,
    ahead: int | None = None,
    tap: Callable[[Tensor], object] | None = None,
    compiled: bool = False,
    graphs: bool = True,
) -> DevicePipeline:
    """A published model as a device pipeline; use one for each stream.

    Args:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        gate: Rain gate, as for :class:`rainclear.Derainer`; by default every frame is derained.
        slots: Frames on the device at most.
        ahead: Frames handed in before the first comes out, at most; 1 gives the least latency.
        tap: Gets the derained pixels on the device.
        compiled: Use ``torch.compile``.
        graphs: Use CUDA graphs where the device has them.

    Raises:
        ModelError: The model is unknown or its weights are not what was published; it has no gate
            of its own, or the gate is for other weights.
        DeviceError: This machine has no such device or the network no such precision.
    """
    folder = find_model(model)
    stage = DerainStage(
        load_single(model),
        network_of(folder.spec.architecture),
        device=device,
        precision=precision,
        gate=find_gate(folder, gate),
        compiled=compiled,
    )
    backend = backend_for(stage.device)
    runs = GraphStage(stage, backend) if graphs else stage
    return DevicePipeline(runs, backend, slots=slots, ahead=ahead, tap=tap)
