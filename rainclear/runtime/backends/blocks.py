"""A recurrent D-DAiAM over blocks of pixels, channels last: same pictures, less to move around.

The network's own ``forward`` takes and gives pictures, which it cuts into blocks and puts together
again: four times a frame, 11 MB each at 720p. Here frame, picture and state stay in blocks, whose
values lie as they do in the picture's rows (row, column, colour), so that the host cuts them by
copying whole runs.

Pictures go in as levels less the middle, -127.5 to 127.5, which bf16 holds exactly for whole
levels: they are what the first convolutions read, and nothing has to convert them. The rest is
written so that graph compilers keep channels last from end to end, and fewer and smaller tensors
go to memory; see :mod:`rainclear.runtime.backends.block_layers`.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rainclear.nn.pyramid import GatedMemory, act
from rainclear.nn.recurrent import MEMORY, RecurrentDDAiAM, Remembered
from rainclear.runtime.backends.block_layers import BlockLayers, TwoGates, channels_by_pixel
from rainclear.runtime.backends.layout import from_blocks, to_blocks

__all__ = [
    "BLOCK_INPUTS",
    "BLOCK_OUTPUTS",
    "MIDDLE",
    "BlockGraph",
    "block_graph",
    "channels_first",
    "channels_last",
]

BLOCK_INPUTS = ("frame", "previous", "memory")
BLOCK_OUTPUTS = ("image", "next", "maps", "next_memory")

MIDDLE = 127.5
"""Subtracted from the levels of pictures that go in."""

_LEVEL = 1 / 255
_TOLERANCE = 0.02  # levels of 255


class _Veil(NamedTuple):
    """Gain and offset as six maps, each for every channel of a block, and what is kept."""

    maps: Tensor
    gain: Tensor
    offset: Tensor
    kept: Tensor


class BlockGraph(nn.Module):
    """The network as a function of tensors N×h×w×C, h and w counting blocks of ``block``² pixels.

    Args:
        network: Folded, in evaluation mode, without a network before it. It is copied.
        byte: The picture that comes out is uint8, clamped and rounded; else float32 levels in
            0..255, neither clamped nor rounded.
        dtype: Of the pictures that go in, and of what is carried of the picture: float32, or
            bfloat16 for whole levels.

    Attributes:
        middle: What layers read pictures less of, in levels.
        takes_bytes: Pictures go in as uint8, and the one that comes out goes in again.
        outputs: Names of what comes out.
    """

    middle = MIDDLE
    takes_bytes = False
    outputs: tuple[str, ...] = BLOCK_OUTPUTS

    def __init__(
        self, network: RecurrentDDAiAM, *, byte: bool, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        if network.first is not None:
            raise ValueError("a network behind another one has no graph over blocks")
        self.block, self.byte, self.dtype = network.block, byte, dtype
        self.network = copy.deepcopy(network).requires_grad_(False)
        channels_by_pixel(self.network, _LEVEL)
        memory = getattr(self.network, "memory", None)
        if isinstance(memory, GatedMemory):
            self.network.memory = TwoGates(memory)
        self.layers = BlockLayers(self.network, self.middle / 255).requires_grad_(False)

    def example(self, shape: tuple[int, int, int]) -> tuple[Tensor, ...]:
        """Inputs for N pictures of a height and width: frame, the picture before, empty memory."""
        count, height, width = shape
        picture = torch.zeros(
            (count, height // self.block, width // self.block, 3 * self.block**2), dtype=self.dtype
        )
        memory = torch.zeros(count, height // MEMORY, width // MEMORY, self.network.remembered)
        return picture, picture.clone(), memory

    def forward(self, frame: Tensor, previous: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Derain.

        Args:
            frame: The picture, levels less the middle.
            previous: What came out as the second with the frame before, or ``frame``.
            memory: What came out as the last with the frame before, or zeros.

        Returns:
            The picture; the same, clamped, less the middle; S⁺ of streaks and of drops at the first
            pixel of each block, N×h×w×2; the memory.
        """
        known = self.network.recall(frame, previous, channels_first(memory))
        taken, before = channels_first(frame.float()), channels_first(known.previous.float())
        # Convolutions read frame and picture as they lie in memory; what an element-wise operation
        # also read would be transposed for it. So these get a copy that a convolution made.
        x = self.layers.same(taken)
        added, attentions, h = self._derain((taken, before), x, known)
        image, carried = self._finish(frame, x, added)
        return image, carried, channels_last(self.layers.shown(attentions)), channels_last(h)

    def _derain(
        self, cues: tuple[Tensor, Tensor], x: Tensor, known: Remembered
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What to add to the frame.

        Args:
            cues: Frame and picture before, for convolutions alone.
            x: The frame for element-wise operations.
            known: What the memory tells.

        Returns:
            The sum in levels, S⁺ of all pixels, the memory.
        """
        net, layers = self.network, self.layers
        features, h = net._encode(cues, known.encoder)
        attentions, merged = self._attend(features)
        veil = self._veil(x, features, attentions, known.veil)

        change = net.coarse_image(act(merged))
        if veil is not None:
            change = x * (veil.gain * _LEVEL) + (veil.offset + change)
        of_input, of_previous = net.differential_input, net.differential_previous
        a = self._soft_map(of_input, of_input.reduce(change))
        moved = layers.now(cues[0]) + layers.before(cues[1])
        b = self._soft_map(of_previous, of_previous.reduce(change) + moved)
        # Eq. 14 with the first picture as change + x: so it need not be kept for later.
        fused = change * a + (x * _LEVEL + self.middle / 255) * (a + net.w * b)
        refined = net.refine(merged + net.refine_in(fused - 0.375))

        added = layers.refined(act(refined))  # in levels, as all that follows
        if veil is not None:
            added = added + layers.offset_levels(veil.maps) + x * veil.gain
        return added, attentions, known.kept(h, None if veil is None else veil.kept)

    def _soft_map(self, layers: Any, differential: Tensor) -> Tensor:
        """The soft map of what its first layer read of a differential of pictures."""
        return self._between_0_and_1(layers.expand(act(layers.body(act(differential)))))

    def _between_0_and_1(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def _attend(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """S⁺ of all pixels, and the fused rain types (Eq. 1 to 4 and 8).

        With t the types and s their attention, the network merges A·(t ⊗ s) + B·(t − t ⊗ s), which
        is (A − B)·(t ⊗ s) + B·t, and B·t is one convolution of the features.
        """
        net, layers = self.network, self.layers
        features = act(features)
        attentions = torch.sigmoid(net.attention(features))
        heavy = net.to_types(features) * layers.spread(attentions)
        return attentions, net.coarse(layers.heavy(heavy) + layers.light(features))

    def _veil(
        self, x: Tensor, features: Tensor, attentions: Tensor, before: Tensor
    ) -> "_Veil | None":
        """Gain and offset of :class:`rainclear.nn.unveil.Unveil` for x = picture less the middle.

        They are made as large as the picture before there is one for each of its channels.
        """
        net, layers = self.network, self.layers
        if net.unveil is None:
            return None
        colours = layers.colour(net.unveil.average(x)) * _LEVEL + self.middle / 255
        maps = torch.cat(net.unveil.maps(features, attentions, colours), 1)
        maps, kept = net.unveil.settled(maps, before)
        maps = layers.enlarge(maps, x.shape[-2:])
        return _Veil(maps, layers.gain(maps), layers.offset(maps), kept)

    def _finish(self, frame: Tensor, x: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
        if self.byte:  # x is exact, as whole levels are
            levels = (added + (x + MIDDLE)).clamp(0, 255).round()
            return channels_last(levels.to(torch.uint8)), channels_last(
                (levels - MIDDLE).to(self.dtype)
            )
        image = frame + channels_last(added) + MIDDLE
        return image, image.clamp(0, 255) - MIDDLE


@torch.no_grad()
def block_graph(
    network: nn.Module, *, byte: bool, dtype: torch.dtype = torch.float32
) -> BlockGraph | None:
    """The graph over blocks, or ``None`` for networks that have none.

    It repeats what :meth:`RecurrentDDAiAM.forward` does. So it is used only if two small frames
    with state come out as they do there: a network that has changed falls back to its own way.
    """
    if not isinstance(network, RecurrentDDAiAM) or network.first is not None:
        return None
    try:
        graph = BlockGraph(network, byte=False).eval()
        if not _agrees(graph, network):
            return None
    # One that is put together in another way has not these layers, or others of these names.
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return None
    graph.byte, graph.dtype = byte, dtype
    return graph


def _agrees(graph: BlockGraph, network: RecurrentDDAiAM) -> bool:
    generator = torch.Generator().manual_seed(0)
    picture, previous, memory = graph.example((1, 64, 64))
    state, out = None, torch.empty(1, 64, 64, 3)
    for i in range(2):
        frame = torch.rand(1, 64, 64, 3, generator=generator)
        want = network(frame.permute(0, 3, 1, 2), state)
        state = want.state
        to_blocks(frame * 255 - MIDDLE, picture, graph.block)
        image, previous, maps, memory = graph(picture, previous if i else picture, memory)
        from_blocks(image.contiguous(), out, graph.block)
        gap = (out - 255 * want.image.permute(0, 2, 3, 1)).abs().max()
        shown = want.streaks.attention[..., :: graph.block, :: graph.block]
        if not gap <= _TOLERANCE or not torch.allclose(
            channels_first(maps)[:, :1], shown, atol=1e-3
        ):
            return False
    return True


def channels_first(x: Tensor) -> Tensor:
    """N×H×W×C to N×C×H×W."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """N×C×H×W to N×H×W×C."""
    return x.permute(0, 2, 3, 1)
