"""Layers of the graph over blocks that the network has in another form, and its weights' order."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.pyramid import GatedMemory
from rainclear.nn.recurrent import MEMORY, RecurrentDDAiAM

__all__ = ["BlockLayers", "TwoGates", "channels_by_pixel"]

_FULL = 255.0


class BlockLayers(nn.Module):
    """What :class:`rainclear.runtime.backends.blocks.BlockGraph` adds to the network's layers.

    Most are 1×1 convolutions where the network takes means, repeats or picks channels: compilers
    keep a convolution's channels last, and add up several of them as they go.

    Args:
        network: Its weights in the order of :func:`channels_by_pixel`.
        middle: What pictures are given less of, in [0, 1].

    Attributes:
        same: The picture as it is.
        now: What the second soft map of Eq. 14 reads of the frame.
        before: What it reads of the picture before.
        colour: Mean colour of each block.
        heavy: What the fusion reads of the rain types where attention is.
        light: What it reads of the features for all the rest.
        shown: S⁺ at the first pixel of each block, of streaks and of drops.
        refined: The network's ``refine_image`` in levels.
        gain: The veil's gain for each channel of a block, from its six maps.
        offset: Its offset for pictures less the middle: offset + gain · middle.
        offset_levels: The same in levels.
        enlarge: The veil's six maps, from cells of the memory to blocks.
    """

    def __init__(self, network: RecurrentDDAiAM, middle: float) -> None:
        super().__init__()
        net: Any = network
        pixels = network.block**2
        picture = 3 * pixels
        each = torch.eye(3).repeat(pixels, 1)  # of three colours, one for each channel of a block
        none = torch.zeros_like(each)
        self.same = nn.Conv2d(picture, picture, 1, groups=picture, bias=False)
        nn.init.ones_(self.same.weight)
        read = net.differential_previous.reduce.weight / _FULL
        self.now, self.before = _conv(read), _conv(-read)
        self.colour = _conv(each.T / pixels)

        both, types = net.merge.weight[:, :, 0, 0], net.to_types
        half = both.shape[1] // 2
        of_heavy, of_light = both[:, :half] - both[:, half:], both[:, half:]
        self.heavy = _conv(of_heavy, net.merge.bias + of_light @ types.bias)
        self.light = _conv(of_light @ types.weight[:, :, 0, 0])
        self.repeats = half // (2 * pixels)
        first = torch.zeros(2, 2 * pixels)
        first[0, 0] = first[1, pixels] = 1
        self.shown = _conv(first)

        self.refined = _conv(_FULL * net.refine_image.weight, _FULL * net.refine_image.bias)
        lifted = torch.cat([middle * each, each], 1)
        self.gain = _conv(torch.cat([each, none], 1))
        self.offset, self.offset_levels = _conv(lifted), _conv(_FULL * lifted)
        self.enlarge = _Twice(6) if 2 * network.block == MEMORY else _Interpolated()

    def spread(self, attentions: Tensor) -> Tensor:
        """Attention for each channel of the types."""
        if self.repeats == 1:
            return attentions
        return torch.cat([s for s in attentions.chunk(2, 1) for _ in range(self.repeats)], 1)


class TwoGates(nn.Module):
    """:class:`GatedMemory` with a convolution for each gate.

    Halves of one would be laid out anew before they are read.

    Args:
        memory: Folded.
    """

    def __init__(self, memory: GatedMemory) -> None:
        super().__init__()
        gates: Any = memory.gates
        self.update, self.candidate = (
            _conv(weight, bias)
            for weight, bias in zip(gates.weight.chunk(2), gates.bias.chunk(2), strict=True)
        )
        self.expand = memory.expand

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """As of :class:`GatedMemory`."""
        known = torch.cat([x, h], 1)
        h = h + torch.sigmoid(self.update(known)) * (torch.tanh(self.candidate(known)) - h)
        return x + self.expand(h), h


class _Interpolated(nn.Module):
    """Bilinear interpolation."""

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


class _Twice(nn.Module):
    """The same to twice the size, in less time: a convolution makes four values of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        sides = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
        each = torch.einsum("ay,bx,oi->aboiyx", sides, sides, torch.eye(channels))
        self.four = nn.Conv2d(channels, 4 * channels, 3, bias=False)
        self.four.weight.data = each.reshape(self.four.weight.shape)
        self.join = _ByPixel()

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        joined: Tensor = self.join(self.four(F.pad(maps, (1, 1, 1, 1), mode="replicate")))
        return joined


class _ByPixel(nn.Module):
    """Pixel-shuffle to twice the size whose channels come by pixel and not by channel.

    What a pixel gets lies in a row then, and is copied in one go.
    """

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        parts = x.reshape(n, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, channels // 4, 2 * height, 2 * width)


@torch.no_grad()
def channels_by_pixel(network: RecurrentDDAiAM, level: float) -> None:
    """Reorder channels in place, and let it read levels less the middle.

    Those of pictures go from colour, row, column to row, column, colour; those of ``up`` from
    channel, row, column to row, column, channel. The cues become frame and previous picture.

    Args:
        network: Folded.
        level: One level of a picture.
    """
    pixels = network.block**2
    order = torch.arange(3 * pixels).reshape(3, pixels).T.flatten()

    def takes(layer: Any) -> None:
        layer.weight.data = layer.weight.data[:, order]

    def gives(layer: Any, order: Tensor = order) -> None:
        layer.weight.data = layer.weight.data[order]
        layer.bias.data = layer.bias.data[order]

    # Of frame and previous picture instead of frame and change: (w + c)·x - c·p.
    net: Any = network
    changed: Any = getattr(network, "stem_change", None)
    if changed is None:
        now, change = (part[:, order] for part in net.stem.weight.data.split(3 * pixels, 1))
        net.stem.weight.data = torch.cat([now + change, -change], 1) * level
    else:
        net.stem.weight.data[:, :, 1, 1] += changed.weight.data[:, :, 0, 0]
        changed.weight.data = -changed.weight.data
        for layer in (net.stem, changed):
            takes(layer)
            layer.weight.data *= level
    takes(net.refine_in)
    gives(net.coarse_image)
    gives(net.refine_image)
    for maps in (net.differential_input, net.differential_previous):
        takes(maps.reduce)
        gives(maps.expand)
    ups: Any = net.up if isinstance(net.up, nn.ModuleList) else [net.up]
    for up in ups:
        gives(up, torch.arange(up.out_channels).reshape(-1, 4).T.flatten())
    net.widen = _ByPixel()


@torch.no_grad()
def _conv(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """A convolution with this kernel, a matrix for 1×1."""
    kernel = weight if weight.ndim == 4 else weight[:, :, None, None]
    outputs, inputs, side, _ = kernel.shape
    layer = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=bias is not None)
    layer.weight.copy_(kernel)
    if bias is not None and layer.bias is not None:
        layer.bias.copy_(bias)
    return layer
