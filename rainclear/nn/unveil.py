"""The veil of far rain, seen over the whole frame and taken off."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.pyramid import act, means

__all__ = ["Unveil"]

_STEEPEST = 4.0
"""Largest gain and offset: a fifth of the light arrives."""
_ROWS = 10
"""Cells over the height of a frame, where that makes them larger than the least side."""
_KEPT = 0.9
"""Share that frames before have in the mean, of each frame for the next."""


class Unveil(nn.Module):
    """The inverse of a veil: x + g ⊗ x + b, with a gain and an offset that vary slowly.

    Koschmieder's I = J·t + A·(1 − t) is undone by g = 1/t − 1 and b = −A·g. A product of picture
    and features is out of reach of a few convolutions; here it is given to them.

    Gain and offset are found on cells of 32 pixels, or of a tenth of the frame's height where that
    is more: what surrounds a cell is then as much of the scene in a large frame as in a small one.
    A wall may be pale by itself, and a few cells see little of the rain, but one rain falls on all
    of the frame: what the cells tell is held against its mean over the frame before it is used.

    The rain does not change from frame to frame, what can be told of it does. So what is used is a
    mean over the frames, recent ones counting most. It is kept with its weight, which is nothing
    at first: the first frame alone is its own mean.

    Args:
        channels: Channels of the features that are read.
        block: Side of the blocks of pixels that picture and features are in.
        width: Channels at the cells.
        cell: Least side in pixels of the cells over which features and picture are averaged.

    Attributes:
        kept: Channels of what is kept from frame to frame.
    """

    kept = 7

    def __init__(self, channels: int, *, block: int, width: int = 28, cell: int = 32) -> None:
        super().__init__()
        self.block, self.cell = block, cell // block
        self.read = nn.Conv2d(channels + 5, width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.around = nn.ModuleList(
            nn.Conv2d(width, width, 5, padding=2, groups=width) for _ in range(2)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(2))
        self.frame = nn.Conv2d(width, width, 1, bias=False)
        self.expand = nn.Conv2d(width, 6, 1)
        nn.init.zeros_(self.expand.weight)  # no veil at first
        nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]

    def average(self, x: Tensor) -> Tensor:
        """Means over the cells, those at the edges over what there is of them."""
        return means(x, self.side(x.shape[-2]))

    def side(self, rows: int) -> int:
        """Side of the cells of a frame of so many rows of blocks, in blocks.

        A graph that is traced keeps the side that it was traced with, also for other sizes.
        """
        if isinstance(rows, torch.SymInt):  # while a program for all sizes is exported
            rows = rows.node.hint
        return max(self.cell, round(int(rows) / _ROWS))

    def maps(self, features: Tensor, attentions: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and offset for each colour, two of N×3×h×w, h and w counting cells.

        Args:
            features: N×C×H×W.
            attentions: S⁺ of all pixels of a block, of streaks and then of drops,
                N×2·block²×H×W in [0, 1].
            colours: Mean colour of each cell of the picture, N×3×h×w in [0, 1].
        """
        rain = self.average(attentions).unflatten(1, (2, -1)).mean(2)
        y = act(self.read(torch.cat([self.average(features), rain, colours], 1)))
        y = act(self.mix(y))
        frame = self.frame(y.mean((2, 3), keepdim=True))
        y = act(self.fuse[0](y + self.around[0](y)) + frame)
        y = act(self.fuse[1](y + self.around[1](y)))
        gain, offset = (_STEEPEST * torch.tanh(self.expand(y) / _STEEPEST)).chunk(2, 1)
        return gain, offset

    def settled(self, maps: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and offset as means over the frames; see :meth:`forward` for what is kept.

        Args:
            maps: Both of :meth:`maps` in one, N×6×h×w.
            before: What was kept, of any height and width.

        Returns:
            N×6×H×W of the size of ``before``, and what is to be kept now.
        """
        size = before.shape[-2:]
        now = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        now = torch.cat([now, torch.ones_like(now[:, :1])], 1)
        kept = now + _KEPT * (before - now)
        return kept[:, :6] / kept[:, 6:], kept

    def forward(
        self, blocks: Tensor, features: Tensor, attentions: Tensor, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What to add to ``blocks``, N×3·block²×H×W, and what to keep for the next frame.

        Args:
            blocks: The picture in blocks of pixels.
            features: As in :meth:`maps`.
            attentions: As in :meth:`maps`.
            before: What was kept, N×``kept``×h×w: sums of gains, offsets and their weight. Zeros
                before the first frame.
        """
        colours = self.average(blocks).unflatten(1, (3, -1)).mean(2)
        maps = torch.cat(self.maps(features, attentions, colours), 1)
        maps, kept = self.settled(maps, before)
        maps = F.interpolate(
            maps.repeat_interleave(self.block**2, 1),
            size=blocks.shape[-2:],
            mode="bilinear",
            align_corners=False,
        )
        gain, offset = maps.chunk(2, 1)
        return blocks * gain + offset, kept
