"""A recurrent D-DAiAM over blocks of pixels, channels last: same pictures, less to move around.

The network's own ``forward`` takes and gives pictures, which it cuts into blocks and puts together
again: four times a frame, 11 MB each at 720p. Here frame, picture and state stay in blocks, whose
values lie as they do in the picture's rows (row, column, colour), so that the host cuts them by
copying whole runs. What a convolution reads or writes of a picture is permuted in its weights.

Everything else is written so that graph compilers keep channels last from end to end.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.pyramid import act
from rainclear.nn.recurrent import MEMORY, RecurrentDDAiAM
from rainclear.runtime.backends.layout import from_blocks, to_blocks

__all__ = ["BLOCK_INPUTS", "BLOCK_OUTPUTS", "BlockGraph", "block_graph"]

BLOCK_INPUTS = ("frame", "previous", "memory")
BLOCK_OUTPUTS = ("image", "maps", "next_memory")

_LEVEL = 1 / 255
_MIDDLE = 127.5
_TOLERANCE = 0.02  # levels of 255


class BlockGraph(nn.Module):
    """The network as a function of tensors N×h×w×C, h and w counting blocks of ``block``² pixels.

    Args:
        network: Folded, in evaluation mode, without a network before it. It is copied.
        byte: Pictures are uint8, clamped and rounded on the way out; else float32 levels in
            0..255, neither clamped nor rounded.
    """

    def __init__(self, network: RecurrentDDAiAM, *, byte: bool) -> None:
        super().__init__()
        if network.first is not None:
            raise ValueError("a network behind another one has no graph over blocks")
        self.block, self.byte = network.block, byte
        self.network = copy.deepcopy(network).requires_grad_(False)
        _permute(self.network)
        picture = 3 * self.block**2
        # Subtracts the middle, which bf16 holds exactly for whole levels. As a convolution, since
        # compilers then keep its channels last; an addition in this place makes them transpose.
        self.take = nn.Conv2d(picture, picture, 1).requires_grad_(False)
        nn.init.dirac_(self.take.weight)
        nn.init.constant_(self.take.bias, -_MIDDLE)  # type: ignore[arg-type]
        # Mean colour of each block, for the same reason not as a mean over channels.
        self.colour = nn.Conv2d(picture, 3, 1, bias=False).requires_grad_(False)
        means = torch.eye(3).repeat(1, self.block**2) / self.block**2
        self.colour.weight.copy_(means[..., None, None])

    def example(self, shape: tuple[int, int, int]) -> tuple[Tensor, ...]:
        """Inputs for N pictures of a height and width: frame, the picture before, empty memory."""
        count, height, width = shape
        picture = torch.zeros(
            (count, height // self.block, width // self.block, 3 * self.block**2),
            dtype=torch.uint8 if self.byte else torch.float32,
        )
        memory = torch.zeros(count, height // MEMORY, width // MEMORY, self.network.remembered)
        return picture, picture.clone(), memory

    def forward(self, frame: Tensor, previous: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Derain: picture, both attention maps (N×h×w×2·block²) and memory; see the network's."""
        net = self.network
        x = self.take(_first(frame.float()))  # levels, less the middle
        before = previous.float()
        p = self.take(_first(before if self.byte else before.clamp(0, 255)))
        remembered = _first(memory)
        features, h = net._encode((x, p), remembered[:, : net.hidden])
        attended = net._attend(features)
        merged = attended.merged
        gain, offset, *veil = self._veil(x, features, attended.attentions, remembered)

        coarse = net.coarse_image(act(merged))
        change = coarse if gain is None else x * (gain * _LEVEL) + (offset + coarse)
        a = net.differential_input(change)
        b = net.differential_previous(change + (x - p) * _LEVEL)
        half = x * _LEVEL + 0.5
        fused = (change + half) * a + net.w * (half * b)  # Eq. 14
        refined = net.refine(merged + net.refine_in(fused - 0.375))
        added = net.refine_image(act(refined))

        # Grouped unlike ``change``: where both share a sum, it is computed in float32 for both.
        image = self._finish(frame, x, added, gain, offset)
        return image, _last(attended.attentions), _last(torch.cat([h, *veil], 1))

    def _veil(
        self, x: Tensor, features: Tensor, attentions: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor] | tuple[None, None]:
        """Gain and offset of :class:`rainclear.nn.unveil.Unveil` for x = picture - 1/2.

        With them comes what it keeps.
        """
        net = self.network
        if net.unveil is None:
            return None, None
        colours = net.unveil.average(self.colour(x)) * _LEVEL + 0.5
        maps = torch.cat(net.unveil.maps(features, attentions, colours), 1)
        maps, kept = net.unveil.settled(maps, memory[:, net.hidden :])
        gain, offset = maps.chunk(2, 1)
        wide = [m.repeat(1, self.block**2, 1, 1) for m in (gain, offset + 0.5 * gain)]
        # Each by itself: taken apart after one interpolation, the halves would be transposed.
        size = x.shape[-2:]
        g, o = (F.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in wide)
        return g, o, kept

    def _finish(
        self, frame: Tensor, x: Tensor, added: Tensor, gain: Tensor | None, offset: Tensor | None
    ) -> Tensor:
        if gain is not None and offset is not None:
            added = 255 * (added + offset)
            added = added + (x * gain)
        else:
            added = 255 * added
        if self.byte:  # x is exact, as whole levels are
            return _last((added + (x + _MIDDLE)).clamp(0, 255).round().to(torch.uint8))
        return frame + _last(added)


@torch.no_grad()
def block_graph(network: nn.Module, *, byte: bool) -> BlockGraph | None:
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
    except (AttributeError, RuntimeError, TypeError, ValueError):  # put together in another way
        return None
    graph.byte = byte
    return graph


def _agrees(graph: BlockGraph, network: RecurrentDDAiAM) -> bool:
    generator = torch.Generator().manual_seed(0)
    picture, previous, memory = graph.example((1, 64, 64))
    state, out = None, torch.empty(1, 64, 64, 3)
    for i in range(2):
        frame = torch.rand(1, 64, 64, 3, generator=generator)
        want = network(frame.permute(0, 3, 1, 2), state)
        state = want.state
        to_blocks(frame * 255, picture, graph.block)
        previous, maps, memory = graph(picture, previous if i else picture, memory)
        from_blocks(previous.contiguous(), out, graph.block)
        gap = (out - 255 * want.image.permute(0, 2, 3, 1)).abs().max()
        shown = F.pixel_shuffle(_first(maps), graph.block)[:, :1]
        if not gap <= _TOLERANCE or not torch.allclose(shown, want.streaks.attention, atol=1e-3):
            return False
    return True


def _first(x: Tensor) -> Tensor:
    """N×H×W×C to N×C×H×W."""
    return x.permute(0, 3, 1, 2)


def _last(x: Tensor) -> Tensor:
    """N×C×H×W to N×H×W×C."""
    return x.permute(0, 2, 3, 1)


def _permute(network: RecurrentDDAiAM) -> None:
    """Reorder the pictures' channels in place: from colour, row, column to row, column, colour.

    The cues become frame and previous picture, each less the middle and in levels.
    """
    pixels = network.block**2
    order = torch.arange(3 * pixels).reshape(3, pixels).T.flatten()

    def takes(layer: Any) -> None:
        layer.weight.data = layer.weight.data[:, order]

    def gives(layer: Any) -> None:
        layer.weight.data = layer.weight.data[order]
        layer.bias.data = layer.bias.data[order]

    # Of frame and previous picture instead of frame and change: (w + c)·x - c·p.
    stem: Any = network.stem
    changed: Any = getattr(network, "stem_change", None)
    if changed is None:
        now, change = (part[:, order] for part in stem.weight.data.split(3 * pixels, 1))
        stem.weight.data = torch.cat([now + change, -change], 1) * _LEVEL
    else:
        stem.weight.data[:, :, 1, 1] += changed.weight.data[:, :, 0, 0]
        changed.weight.data = -changed.weight.data
        for layer in (stem, changed):
            takes(layer)
            layer.weight.data *= _LEVEL
    takes(network.refine_in)
    gives(network.coarse_image)
    gives(network.refine_image)
    for maps in (network.differential_input, network.differential_previous):
        takes(maps.reduce)
        gives(maps.expand)
