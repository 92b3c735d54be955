"""A deraining network as a stage of the device pipeline; nothing in it waits for the device."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.errors import ModelError
from rainclear.nn.output import Derained
from rainclear.nn.registry import Network
from rainclear.runtime.cuts import blank_thumbnail, same_scene, thumbnail
from rainclear.runtime.device import resolve_device, resolve_precision
from rainclear.runtime.gate import mean_attention
from rainclear.runtime.load import load_model, network_of
from rainclear.runtime.stream_backends import backend_for
from rainclear.runtime.streams import DevicePipeline
from rainclear.zoo import find_model

__all__ = ["DerainStage", "device_pipeline"]


class DerainStage:
    """Normalises, pads, derains and quantises on the device, and keeps the state there.

    The arithmetic is that of :class:`rainclear.Derainer`. Where that asks whether a cut was seen,
    this one lets the device choose between the old state and a fresh one.

    Args:
        network: In evaluation mode.
        descriptor: Its entry in the registry.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.

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
        self._descriptor = descriptor
        self._thumbnail = blank_thumbnail(self._device)
        self.reset()

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._device

    @property
    def resident(self) -> tuple[Tensor, ...]:
        """The coarse picture of the frame before; the network's own state goes with it."""
        return (self._thumbnail,)

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._state: tuple[Tensor, ...] | None = None

    @torch.inference_mode()
    def __call__(self, source: Tensor, result: Tensor, score: Tensor) -> None:
        """Derain one frame; see :class:`rainclear.runtime.streams.DeviceStage`."""
        height, width, _ = source.shape
        x = self._normalise(source)
        state = self._state_for(x)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            out: Derained = self._network(x, state)
        self._state = out.state
        score.copy_(mean_attention(out, height, width))
        _quantise(out.image[..., :height, :width], result)

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

    def _state_for(self, x: Tensor) -> tuple[Tensor, ...] | None:
        """The state of the frame before, or a fresh one where the scene was cut."""
        if not self._descriptor.stateful:
            return None
        coarse, state = thumbnail(x), self._state
        if state is not None:
            same = same_scene(self._thumbnail, coarse)
            fresh = self._network.initial_state(x)
            state = tuple(
                torch.where(same, old, new.to(old.dtype))
                for old, new in zip(state, fresh, strict=True)
            )
        self._thumbnail.copy_(coarse)
        return state


def _quantise(image: Tensor, result: Tensor) -> None:
    """Clamp and round 1×3×H×W in [0, 1] into H×W×3."""
    scale = 255.0 if result.dtype == torch.uint8 else 65535.0
    scaled = image[0].float().clamp(0.0, 1.0).mul_(scale).round_().permute(1, 2, 0)
    # By way of int32, whose lower bits int16 takes: a float above 32767 has no defined int16.
    result.copy_(scaled if result.dtype == torch.uint8 else scaled.int())


def device_pipeline(
    model: str = "d-daiam-rt",
    *,
    device: str = "auto",
    precision: str = "auto",
    slots: int = 3,
    ahead: int | None = None,
    tap: Callable[[Tensor], object] | None = None,
) -> DevicePipeline:
    """A published model as a device pipeline; use one for each stream.

    Args:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        slots: Frames on the device at most.
        ahead: Frames handed in before the first comes out, at most; 1 gives the least latency.
        tap: Gets the derained pixels on the device.

    Raises:
        ModelError: The model is unknown or its weights are not what was published.
        DeviceError: This machine has no such device or the network no such precision.
    """
    descriptor = network_of(find_model(model).spec.architecture)
    stage = DerainStage(load_model(model), descriptor, device=device, precision=precision)
    return DevicePipeline(stage, backend_for(stage.device), slots=slots, ahead=ahead, tap=tap)
