"""D-DAiAM as a U from half of the resolution to a sixteenth."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.nn.pyramid import Floor, GatedMemory, act, res_blocks
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.recurrent import MEMORY, RecurrentDDAiAM
from rainclear.nn.reparam import RepConv2d

__all__ = ["UDDAiAM"]


class UDDAiAM(RecurrentDDAiAM):
    """``d-daiam-u``: recurrent D-DAiAM with two stages over a U of several floors.

    Thin streaks need the top floor, haze and drops out of focus the lowest: its convolutions reach
    some 250 pixels far, and it weighs its channels by means over 144 pixels.

    Args:
        block: Side of the blocks of pixels that the top floor works on, 2 or 4; every floor below
            has half the size of the one above it.
        widths: Channels of each floor; one floor at least lies below that of the memory, which is
            at an eighth of the resolution.
        blocks: Residual blocks of each floor: as many before the floor below as after it, and on
            the lowest floor in all.
        typed: Channels of each rain type, a multiple of the pixels of a block.
        coarse: Residual blocks that fuse the rain types.
        refine: Residual blocks of the second stage on the top floor, before and after, and on the
            one below it.
        hidden: Channels of the memory that is carried across frames.
        w: Weight of the second differential in Eq. 14.
        veil: Undo the veil of far rain by :class:`rainclear.nn.unveil.Unveil`.
        first: Options of a ``d-daiam-rt`` that goes before and whose picture is corrected.

    Input height and width must be multiples of 8.
    """

    def __init__(
        self,
        *,
        block: int = 2,
        widths: Sequence[int] = (32, 64, 96, 128),
        blocks: Sequence[int] = (1, 3, 3, 8),
        typed: int = 16,
        coarse: int = 1,
        refine: tuple[int, int] = (1, 2),
        hidden: int = 48,
        w: float = 0.5,
        veil: bool = False,
        first: Mapping[str, Any] | None = None,
    ) -> None:
        before = RealtimeDDAiAM(**first) if first is not None else None
        super().__init__(block=block, hidden=hidden, w=w, first=before)
        if block not in (2, 4):
            raise ValueError(f"block is {block}; give 2 or 4")
        above = (MEMORY // block).bit_length() - 1
        if len(widths) != len(blocks) or len(widths) < above + 2:
            raise ValueError(
                f"widths {list(widths)} and blocks {list(blocks)} must both have {above + 2} floors"
                " or more"
            )
        self.stem = RepConv2d(self._cues, widths[0])
        self.before, self.down = nn.ModuleList(), nn.ModuleList()
        self.up, self.after = nn.ModuleList(), nn.ModuleList()
        for width, below, number in zip(widths, widths[1:], blocks[:above], strict=False):
            self.before.append(res_blocks(width, number))
            self.down.append(RepConv2d(width, below, stride=2))
            self.up.append(nn.Conv2d(below, 4 * width, 1))
            self.after.append(res_blocks(width, number))
        self.memory = GatedMemory(widths[above], hidden)
        self.deep = _floors(widths[above:], blocks[above:], gated=True)
        self._add_stages(
            widths[0],
            typed=typed,
            coarse=lambda: res_blocks(widths[0], coarse),
            refine=lambda: _floors(widths[:2], refine, gated=False),
            veil=veil,
        )

    def _encode(self, cues: Sequence[Tensor], h: Tensor) -> tuple[Tensor, Tensor]:
        y = self.stem(torch.cat([*cues], 1))
        skips = []
        for body, down in zip(self.before, self.down, strict=True):
            y = body(y)
            skips.append(y)
            y = act(down(act(y)))
        y, h = self.memory(y, h)
        y = self.deep(y)
        floors = list(zip(self.up, self.after, skips, strict=True))
        for up, body, skip in reversed(floors):
            y = body(skip + self.widen(up(y)))
        return y, h


def _floors(widths: Sequence[int], blocks: Sequence[int], *, gated: bool) -> nn.Sequential:
    """Residual blocks on every floor, the lowest with attention to channels if ``gated``."""
    width, number = widths[0], blocks[0]
    if len(widths) == 1:
        return res_blocks(width, number, gated=gated)
    below = _floors(widths[1:], blocks[1:], gated=gated)
    return nn.Sequential(
        res_blocks(width, number), Floor(width, widths[1], below), res_blocks(width, number)
    )
