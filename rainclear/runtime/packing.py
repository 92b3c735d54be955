"""Weights in 8 bits a value, for files a quarter of the size; in memory they are fp32 as ever.

Large kernels are rounded to 255 levels for each output channel, which is finer than what training
leaves undecided. Small tensors (biases, statistics, narrow layers) are stored as they are.
"""

import torch
from torch import Tensor

__all__ = ["pack_weights", "unpack_weights"]

_LARGE = 4096
"""Values from which a kernel is worth packing."""
_SCALE = ":scale"


def pack_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict whose large floating kernels are int8, each beside its ``<name>:scale``.

    Args:
        weights: Tensors by name; the first dimension of a kernel is that of its output channels.
    """
    packed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.dim() < 2 or value.numel() < _LARGE or not value.is_floating_point():
            packed[name] = value
            continue
        rest = tuple(range(1, value.dim()))
        scale = value.float().abs().amax(rest).clamp_min(1e-12) / 127
        levels = (value.float() / _beside(scale, value)).round().clamp(-127, 127)
        packed[name], packed[name + _SCALE] = levels.to(torch.int8), scale
    return packed


def unpack_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that was packed, in fp32; one that was not packed comes back as it is."""
    return {
        name: value.float() * _beside(weights[name + _SCALE], value)
        if name + _SCALE in weights
        else value
        for name, value in weights.items()
        if not name.endswith(_SCALE)
    }


def _beside(scale: Tensor, value: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (value.dim() - 1))
