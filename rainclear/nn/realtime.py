"""D-DAiAM at the speed of a camera: a quarter of the resolution, and an eighth below it."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from rainclear.nn.pyramid import Context, GatedMemory, ResBlock, act, res_blocks
from rainclear.nn.recurrent import RecurrentDDAiAM
from rainclear.nn.reparam import RepConv2d

__all__ = ["RealtimeDDAiAM"]

_BLOCK = 4


class RealtimeDDAiAM(RecurrentDDAiAM):
    """``d-daiam-rt``: recurrent D-DAiAM with two stages.

    Args:
        channels: Width at a quarter of the resolution.
        deep_channels: Width at an eighth of the resolution.
        deep_blocks: Residual blocks there.
        hidden: Channels of the state that is carried across frames.
        w: Weight of the second differential in Eq. 14.
        veil: Undo the veil of far rain by :class:`rainclear.nn.unveil.Unveil`.

    Input height and width must be multiples of 8.
    """

    def __init__(
        self,
        *,
        channels: int = 32,
        deep_channels: int = 48,
        deep_blocks: int = 3,
        hidden: int = 16,
        w: float = 0.5,
        veil: bool = False,
    ) -> None:
        super().__init__(block=_BLOCK, hidden=hidden, w=w)
        # Its surroundings tell what a pixel shows; for what has changed, its block is enough.
        self.stem = RepConv2d(self._cues // 2, channels)
        self.stem_change = nn.Conv2d(self._cues // 2, channels, 1, bias=False)
        self.shallow = ResBlock(channels)
        self.down = RepConv2d(channels, deep_channels, stride=2)
        self.memory = GatedMemory(deep_channels, hidden)
        self.context = Context(deep_channels, 32)
        self.deep = res_blocks(deep_channels, deep_blocks)
        self.up = nn.Conv2d(deep_channels, 4 * channels, 1)
        body = partial(ResBlock, channels)
        self._add_stages(channels, typed=_BLOCK * _BLOCK, coarse=body, refine=body, veil=veil)

    def _encode(self, cues: Sequence[Tensor], h: Tensor) -> tuple[Tensor, Tensor]:
        now, change = cues
        shallow = self.shallow(self.stem(now) + self.stem_change(change))
        deep, h = self.memory(act(self.down(act(shallow))), h)
        deep = self.deep(self.context(deep))
        return shallow + self.widen(self.up(deep)), h
