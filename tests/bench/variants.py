"""Other ways to build `d-daiam-rt`, which `sizes.py` trains and times beside it."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from rainclear.nn.pyramid import Context, Floor, GatedMemory, ResBlock, act, res_blocks
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.recurrent import RecurrentDDAiAM
from rainclear.nn.registry import NETWORKS
from rainclear.nn.reparam import RepConv2d

__all__ = ["VARIANTS"]

_CHANNELS, _DEEP, _HIDDEN = 32, 48, 16


class HalfRate(RealtimeDDAiAM):
    """The second stage's body at half of its rate, an eighth of the picture's."""

    def __init__(self) -> None:
        super().__init__(veil=True)
        self.refine = Floor(_CHANNELS, _DEEP, ResBlock(_DEEP))


class _Elsewhere(nn.Module):
    """Attention maps from features that were left here, not from those that it is called with."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.left: Tensor | None = None

    def forward(self, _: Tensor) -> Tensor:
        assert self.left is not None
        features, self.left = self.left, None  # not kept: what is copied must hold no graph
        return self.body(features)


class EarlyAttention(RealtimeDDAiAM):
    """Attention from the features before the memory and the blocks at an eighth."""

    def __init__(self) -> None:
        super().__init__(veil=True)
        self.attention = _Elsewhere(self.attention)

    def _encode(self, cues: Sequence[Tensor], h: Tensor) -> tuple[Tensor, Tensor]:
        now, change = cues
        shallow = self.shallow(self.stem(now) + self.stem_change(change))
        read = act(shallow)
        self.attention.left = read
        deep, h = self.memory(act(self.down(read)), h)
        return shallow + self.widen(self.up(self.deep(self.context(deep)))), h


class DeepAttention(RealtimeDDAiAM):
    """Attention from the features at an eighth, each of which tells of 8×8 pixels."""

    def __init__(self) -> None:
        super().__init__(veil=True)
        maps = 2 * self.block**2
        self.attention = _Elsewhere(
            nn.Sequential(
                RepConv2d(_DEEP, _CHANNELS),
                nn.LeakyReLU(0.1),
                nn.Conv2d(_CHANNELS, 4 * maps, 1),
                nn.PixelShuffle(2),
            )
        )

    def _encode(self, cues: Sequence[Tensor], h: Tensor) -> tuple[Tensor, Tensor]:
        now, change = cues
        shallow = self.shallow(self.stem(now) + self.stem_change(change))
        deep, h = self.memory(act(self.down(act(shallow))), h)
        deep = self.deep(self.context(deep))
        self.attention.left = act(deep)
        return shallow + self.widen(self.up(deep)), h


class Unshuffle2(RecurrentDDAiAM):
    """Blocks of 2×2 pixels: twice the resolution, half of the channels, the same floor below."""

    def __init__(self, *, channels: int = 16, w: float = 0.5) -> None:
        super().__init__(block=2, hidden=_HIDDEN, w=w)
        self.stem = RepConv2d(self._cues // 2, channels)
        self.stem_change = nn.Conv2d(self._cues // 2, channels, 1, bias=False)
        self.shallow = ResBlock(channels)
        self.to_quarter = RepConv2d(channels, 2 * channels, stride=2)
        self.down = RepConv2d(2 * channels, _DEEP, stride=2)
        self.memory = GatedMemory(_DEEP, _HIDDEN)
        self.context = Context(_DEEP, 32)
        self.deep = res_blocks(_DEEP, 3)
        self.up = nn.ModuleList(
            [nn.Conv2d(_DEEP, 8 * channels, 1), nn.Conv2d(2 * channels, 4 * channels, 1)]
        )
        self._add_stages(
            channels,
            typed=channels // 2,
            coarse=lambda: ResBlock(channels),
            refine=lambda: ResBlock(channels),
            veil=True,
        )

    def _encode(self, cues: Sequence[Tensor], h: Tensor) -> tuple[Tensor, Tensor]:
        now, change = cues
        shallow = self.shallow(self.stem(now) + self.stem_change(change))
        half = self.to_quarter(act(shallow))
        deep, h = self.memory(act(self.down(act(half))), h)
        half = half + self.widen(self.up[0](self.deep(self.context(deep))))
        return shallow + self.widen(self.up[1](act(half))), h


VARIANTS = {
    "half-rate": HalfRate,
    "early-attention": EarlyAttention,
    "deep-attention": DeepAttention,
    "unshuffle-2": Unshuffle2,
}
"""By the names that they have on the command line."""

NETWORKS.update(
    {
        name: replace(NETWORKS["d-daiam-rt"], name=name, build=build)
        for name, build in VARIANTS.items()
    }
)
