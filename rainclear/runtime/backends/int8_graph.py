"""The graph over blocks for int8: bytes go in and come out, and nothing else is carried."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.nn.recurrent import RecurrentDDAiAM
from rainclear.runtime.backends.blocks import BlockGraph, channels_first, channels_last

__all__ = ["EXACT", "READERS", "Int8Graph", "quantisable"]

EXACT = (
    "layers.same",
    "layers.now",
    "layers.before",
    "network.stem",
    "network.stem_change",
)
"""Layers that read pictures, whole levels less 128, which int8 holds as they are."""

READERS = ("network.shallow.first", "network.down", "network.attention")
"""Layers whose inputs tell how far the channels of the features differ; see ``even_out``."""

_REACH = 4.8
_NEAR = 1.1586, -1.5957, 1.4367, -0.5037
"""Of x, x³, x⁵ and x⁷: they add up to σ(4.8·x) - 0.5 for x from -1 to 1, 0.0041 off at most, and
end at the middle of what a sigmoid does beyond."""

_FLOAT = (
    "network.unveil.",
    "network.branch_image.",  # not part of the graph, nor are the next two
    "network.merge",
    "network.refine_image",
    "layers.colour",
    "layers.gain",
    "layers.offset",
    "layers.offset_levels",
    "layers.enlarge.",
    "layers.shown",
)


def quantisable(layer: str) -> bool:
    """Whether the convolution of this name in an :class:`Int8Graph` is to run in int8.

    Not those of the veil, which are small and decide how bright a frame becomes, and not those that
    read or make its maps.
    """
    return not any(layer == name or (name[-1] == "." and layer.startswith(name)) for name in _FLOAT)


class Int8Graph(BlockGraph):
    """:class:`BlockGraph` for convolutions in int8.

    Pictures are uint8 in blocks. Less 128 they are what int8 holds, so reading them costs nothing
    in accuracy; only beyond the picture's border, which convolutions fill up with zeros, lies a
    level of 128 instead of 127.5. The picture that comes out is what is given as the previous one.

    Args:
        network: As there.
    """

    middle = 128.0
    takes_bytes = True
    outputs = ("image", "maps", "next_memory")

    @torch.no_grad()
    def __init__(self, network: RecurrentDDAiAM) -> None:
        super().__init__(network, byte=True, dtype=torch.uint8)
        net: Any = self.network
        levels = net.stem.weight.sum((1, 2, 3))
        if getattr(net, "stem_change", None) is not None:
            levels = levels + net.stem_change.weight.sum((1, 2, 3))
        net.stem.bias.data = net.stem.bias + (self.middle - BlockGraph.middle) * levels
        for maps in (net.differential_input, net.differential_previous):
            maps.expand.weight.data /= _REACH
            maps.expand.bias.data /= _REACH

    @torch.no_grad()
    def even_out(self, factors: Sequence[float]) -> None:
        """Give the channels of the encoder's features factors, and take them back where read.

        LeakyReLU passes factors on, so the pictures stay the same; but channels that share 256
        steps then have ranges alike (cross-layer equalisation, Nagel et al. 2019). Flat parts of a
        picture need that: their features are constant there, and so is what rounding does to them,
        which the veil's means do not average out.

        Args:
            factors: One for each channel; none to leave all as it is.

        Raises:
            ValueError: The network has another number of channels, or other layers.
        """
        if not factors:
            return
        net: Any = self.network
        up = net.up
        scale = torch.tensor(factors)
        channels = net.stem.weight.shape[0]
        if len(factors) != channels or isinstance(up, nn.ModuleList):
            raise ValueError(f"{len(factors)} factors do not fit this network")
        for layer in (net.stem, net.stem_change, net.shallow.second):
            _give(layer, scale)
        _give(up, scale.repeat(up.weight.shape[0] // channels))
        readers = (net.shallow.first, net.down, net.attention, net.to_types, self.layers.light)
        for layer in readers if net.unveil is None else (*readers, net.unveil.read):
            layer.weight.data[:, :channels] /= scale[:, None, None]

    def forward(self, frame: Tensor, previous: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Derain.

        Args:
            frame: The picture, N×h×w×C uint8.
            previous: The picture that came out with the frame before, or ``frame``.
            memory: What came out as the last with the frame before, or zeros.

        Returns:
            The picture, uint8; S⁺ of streaks and of drops at the first pixel of each block,
            N×h×w×2; the memory.
        """
        same = self.layers.same
        known = self.network.recall(frame, previous, channels_first(memory))
        cues = self._centred(frame), self._centred(known.previous)
        x = same(cues[0])
        added, attentions, h = self._derain(cues, x, known)
        # A convolution at the end, or a graph compiler takes the sum before it for a part of the
        # output, does it in fp32, and converts what it reads.
        image = same((added + x).clamp(-self.middle, 255 - self.middle)) + self.middle
        image = channels_last(image.clamp(0, 255).round().to(torch.uint8))
        return image, channels_last(self.layers.shown(attentions)), channels_last(h)

    def _between_0_and_1(self, x: Tensor) -> Tensor:
        """Near a sigmoid, which would take longer than the convolution before it."""
        x = x.clamp(-1, 1)
        square, (c1, c3, c5, c7) = x * x, _NEAR
        return x * (c1 + square * (c3 + square * (c5 + square * c7))) + 0.5

    def _centred(self, picture: Tensor) -> Tensor:
        return channels_first(picture.float() - self.middle)


def _give(layer: Any, scale: Tensor) -> None:
    layer.weight.data *= scale[:, None, None, None]
    if layer.bias is not None:
        layer.bias.data *= scale
