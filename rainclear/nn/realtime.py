"""D-DAiAM at the speed of a camera: the same topology at a quarter of the resolution, over time.

Dual intensity attention × two rain types × a differential-driven second stage, as in the paper
(Sec. 3.2 to 3.5), with three changes that make it fast and let it use a video:

* it works on 4×4 blocks of pixels (pixel-unshuffle), with folded 3×3 convolutions;
* recursion over stages becomes recursion over frames: a gated hidden state and the previous output
  are carried in ``state``, and the second differential of Eq. 14 compares the first stage with the
  previous frame's output. Streaks move from frame to frame and drops stay, which is the cue;
* the output is the input plus a full-resolution residual, so that what is not rain is copied. (A
  sigmoid gate on the residual was tried: it closes early in training and does not open again.)
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.output import Branch, Derained, Differentials, Stage
from rainclear.nn.reparam import RepConv2d

__all__ = ["RealtimeDDAiAM"]

_BLOCK = 4
_PICTURE = 3 * _BLOCK * _BLOCK


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


class _ResBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = RepConv2d(channels, channels)
        self.second = RepConv2d(channels, channels)
        with torch.no_grad():  # near the identity at first, which trains more evenly
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(_act(self.first(_act(x))))


class _Context(nn.Module):
    """Features pooled to 1/32 of the picture: what haze and large drops need to be seen whole."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.body = nn.ModuleList([RepConv2d(width, width), RepConv2d(width, width)])
        self.expand = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(F.avg_pool2d(x, 4, ceil_mode=True, count_include_pad=False))
        for conv in self.body:
            y = _act(conv(y))
        y = F.interpolate(self.expand(y), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return x + y


class _GatedMemory(nn.Module):
    """Minimal gated recurrence over frames: h ← (1 − z)·h + z·c, z and c from [features, h]."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = RepConv2d(channels + hidden, 2 * hidden)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        z, c = self.gates(torch.cat([x, h], 1)).chunk(2, 1)
        h = h + torch.sigmoid(z) * (torch.tanh(c) - h)
        return x + self.expand(h), h


class _FilterNet(nn.Module):
    """Soft map from a differential of two pictures (Sec. 3.5), in blocks of 4×4 pixels."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(_PICTURE, width, 1)
        self.body = RepConv2d(width, width)
        self.expand = nn.Conv2d(width, _PICTURE, 1)

    def forward(self, differential: Tensor) -> Tensor:
        return torch.sigmoid(self.expand(_act(self.body(_act(self.reduce(differential))))))


class _Features(NamedTuple):
    merged: Tensor
    attentions: Tensor
    weighted: Tensor


class RealtimeDDAiAM(nn.Module):
    """``d-daiam-rt``: recurrent D-DAiAM with two stages.

    Args:
        channels: Width at a quarter of the resolution; the two rain types share it equally and each
            of a type's channels is weighted by one pixel's attention of the 4×4 block, so it is 32.
        deep_channels: Width at an eighth of the resolution.
        hidden: Channels of the state that is carried across frames.
        w: Weight of the second differential in Eq. 14.

    Input height and width must be multiples of 8.

    Attributes:
        details: Show all of the answer in evaluation mode too: the first stage, the branches'
            heavy and light pictures, and the maps of Eq. 14. The result stays the same.
    """

    def __init__(
        self, *, channels: int = 32, deep_channels: int = 48, hidden: int = 16, w: float = 0.5
    ) -> None:
        super().__init__()
        self.channels, self.hidden, self.w = channels, hidden, w
        self.details = False
        self.stem = RepConv2d(2 * _PICTURE, channels)
        self.shallow = _ResBlock(channels)
        self.down = RepConv2d(channels, deep_channels, stride=2)
        self.memory = _GatedMemory(deep_channels, hidden)
        self.context = _Context(deep_channels, 32)
        self.deep = nn.Sequential(_ResBlock(deep_channels), _ResBlock(deep_channels))
        self.up = nn.Conv2d(deep_channels, 4 * channels, 1)
        self.attention = RepConv2d(channels, 2 * _BLOCK * _BLOCK)
        self.to_types = nn.Conv2d(channels, 2 * _BLOCK * _BLOCK, 1)
        self.merge = RepConv2d(4 * _BLOCK * _BLOCK, channels)
        self.coarse = _ResBlock(channels)
        self.coarse_image = nn.Conv2d(channels, _PICTURE, 1)
        self.differential_input = _FilterNet()
        self.differential_previous = _FilterNet()
        self.refine_in = RepConv2d(_PICTURE, channels)
        self.refine = _ResBlock(channels)
        self.refine_image = RepConv2d(channels, _PICTURE)
        # Read in training and for details only: the pictures of D_heavy and D_light of each rain
        # type (Eq. 6, 7).
        self.branch_image = nn.ModuleList(nn.Conv2d(16, _PICTURE, 1) for _ in range(4))
        self._reset_heads()

    def _reset_heads(self) -> None:
        """Start as the identity, so that an untrained network does no harm."""
        for head in (self.coarse_image, *self.branch_image):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        nn.init.normal_(self.refine_image.weight, std=1e-3)

    def _encode(self, x: Tensor, previous: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.shallow(self.stem(torch.cat([x - 0.5, x - previous], 1)))
        deep, h = self.memory(_act(self.down(_act(shallow))), h)
        deep = self.deep(self.context(deep))
        return shallow + F.pixel_shuffle(self.up(deep), 2), h

    def _attend(self, features: Tensor) -> _Features:
        """Eq. 1 to 4 for both rain types: F ⊗ S⁺ and F ⊗ S⁻, and their fusion (D_global, Eq. 8)."""
        features = _act(features)
        attention = torch.sigmoid(self.attention(features))
        typed = self.to_types(features)
        heavy = typed * attention
        weighted = torch.cat([heavy, typed - heavy], 1)
        merged = self.coarse(self.merge(weighted))
        return _Features(merged, attention, weighted)

    def _branches(self, x: Tensor, f: _Features) -> tuple[Branch, Branch]:
        maps = F.pixel_shuffle(f.attentions, _BLOCK)
        images: list[Tensor | None] = [None] * 4
        if self.training or self.details:
            parts = f.weighted.chunk(4, 1)  # heavy streaks, heavy drops, light streaks, light drops
            images = [
                F.pixel_shuffle(x + head(part), _BLOCK)
                for head, part in zip(self.branch_image, parts, strict=True)
            ]
        return (
            Branch(attention=maps[:, :1], heavy=images[0], light=images[2], image=None),
            Branch(attention=maps[:, 1:], heavy=images[1], light=images[3], image=None),
        )

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """State before the first frame ``x`` (N×3×H×W): previous output = input, memory empty."""
        n, _, height, width = x.shape
        h = x.new_zeros(n, self.hidden, height // (2 * _BLOCK), width // (2 * _BLOCK))
        return x, h

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Derain one frame N×3×H×W (RGB, [0, 1]) given the state of the frame before it.

        Returns the picture (not clamped), the state for the next frame, and the last stage. The
        first stage and the heavy and light pictures of the branches, which nothing but the losses
        looks at, are built in training mode only, or where ``details`` is set.
        """
        previous_image, h = self.initial_state(x) if state is None else state
        blocks = F.pixel_unshuffle(x, _BLOCK)
        previous = F.pixel_unshuffle(previous_image, _BLOCK)

        features, h = self._encode(blocks, previous, h)
        attended = self._attend(features)
        first = blocks + self.coarse_image(_act(attended.merged))

        a = self.differential_input(first - blocks)
        b = self.differential_previous(first - previous)
        fused = first * a + self.w * (blocks * b)  # Eq. 14
        refined = self.refine(attended.merged + self.refine_in(fused - 0.375))
        image = x + F.pixel_shuffle(self.refine_image(_act(refined)), _BLOCK)

        streaks, drops = self._branches(blocks, attended)
        stages = [Stage(image, streaks, drops)]
        if self.training or self.details:
            maps = Differentials(F.pixel_shuffle(a, _BLOCK), F.pixel_shuffle(b, _BLOCK))
            stages = [
                Stage(F.pixel_shuffle(first, _BLOCK), streaks, drops),
                Stage(image, streaks, drops, maps),
            ]
        return Derained(image=image, state=(image, h), stages=tuple(stages))
