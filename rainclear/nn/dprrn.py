"""DPRRN, the dual-pixel raindrop removal network: two halves of each pixel see a drop apart.

A dual-pixel sensor gives a left-half and a right-half picture. What is in focus lies at the same
place in both; drops on the glass, far out of focus, do not. Five U-Nets use that:

- masks: M_l = G([I_l, I_r]), M_r = G([I_r, I_l]), each with weights of its own; M_c is the larger;
- deraining: B_l = I_l − G([I_l, M_l]) and B_r likewise, with weights of their own;
- fusion: B_c = (B_l + B_r) / 2, and the result B = B_c − G([B_c, B_l, B_r, M_c]).

The paper names the parts of its U-Net and not their order. The reading taken here gives the
published sizes, 2.44 M parameters for each of four networks and 9.73 M for the fusion, and
1.88 M multiply-adds a pixel in all:

- encoder: 3×3 convolution, InstanceNorm, ReLU; then one residual block at each of four scales,
  before which the picture is pooled and in which the width doubles;
- decoder, three times: nearest 2× upsampling, 3×3 convolution to half the width, BatchNorm, ReLU;
  one residual block on that, one on the encoder's features of that scale, and their sum;
- a 1×1 shortcut (with BatchNorm) in every block that changes the width, **and in all blocks of the
  decoder**, where the width stays. Without those 43 k parameters a network has 2.39 M, and the
  whole 1.83 M multiply-adds;
- biases in all convolutions, InstanceNorm without weights.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.blocks import conv3x3
from rainclear.nn.output import Branch, Derained, Stage

__all__ = ["DPRRN", "DualDerained", "UNet"]


class DualDerained(NamedTuple):
    """What the network makes of two halves; pictures are N×3×H×W, about [0, 1], not clamped.

    Attributes:
        image: The result B.
        combined: B_c, the mean of the two derained halves.
        left: B_l, the derained left half.
        right: B_r, the derained right half.
        left_logits: M_l before the sigmoid, N×1×H×W; above 0 where there is water.
        right_logits: M_r, likewise.
    """

    image: Tensor
    combined: Tensor
    left: Tensor
    right: Tensor
    left_logits: Tensor
    right_logits: Tensor

    @property
    def mask(self) -> Tensor:
        """M_c = max(M_l, M_r), N×1×H×W in [0, 1]."""
        return torch.maximum(self.left_logits, self.right_logits).sigmoid()


class _ResBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm, and the input, or a 1×1 convolution of it, added."""

    def __init__(self, channels_in: int, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.first = conv3x3(channels_in, channels)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = conv3x3(channels, channels)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if shortcut:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, kernel_size=1), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class _Up(nn.Module):
    """From one scale of the decoder to the next finer one, where the encoder's features join."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3x3(2 * channels, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.inner = _ResBlock(channels, channels, shortcut=True)
        self.skip = _ResBlock(channels, channels, shortcut=True)

    def forward(self, x: Tensor, encoded: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))))
        return self.inner(x) + self.skip(encoded)


class UNet(nn.Module):
    """The U-Net that all five networks are, over four scales.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output, to which nothing is applied.
        width: Channels at full resolution; they double at each coarser scale.
    """

    def __init__(self, channels_in: int, channels_out: int, width: int) -> None:
        super().__init__()
        self.head = conv3x3(channels_in, width)
        self.norm = nn.InstanceNorm2d(width)
        self.finest = _ResBlock(width, width, shortcut=False)
        widths = [width, 2 * width, 4 * width]
        self.down = nn.ModuleList(_ResBlock(w, 2 * w, shortcut=True) for w in widths)
        self.up = nn.ModuleList(_Up(w) for w in reversed(widths))
        self.tail = nn.Conv2d(width, channels_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×channels_in×H×W to N×channels_out×H×W; H and W are multiples of 8."""
        x = self.finest(F.relu(self.norm(self.head(x))))
        encoded = []
        for block in self.down:
            encoded.append(x)
            x = block(F.max_pool2d(x, 2))
        for block in self.up:
            x = block(x, encoded.pop())
        return self.tail(x)


class DPRRN(nn.Module):
    """Takes drops out of the two halves of a dual-pixel picture. Stateless.

    Pictures go in and out in [0, 1]; inside they lie in [−1, 1], as in the paper.

    Args:
        width: Channels of the mask and deraining networks at full resolution, 32 in the paper; the
            fusion network has twice as many.
        single: Show it the mean of the halves, the picture that a common sensor takes, in place of
            both: the same network and size without the cue, to measure what the cue is worth.
    """

    def __init__(self, *, width: int = 32, single: bool = False) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width is {width}; it must be at least 1")
        self.single = single
        self.mask_left, self.mask_right = UNet(6, 1, width), UNet(6, 1, width)
        self.derain_left, self.derain_right = UNet(4, 3, width), UNet(4, 3, width)
        self.fuse = UNet(10, 3, 2 * width)

    def _input(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        if self.single:
            left = right = (left + right) / 2
        return 2 * left - 1, 2 * right - 1

    def _logits(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        return (
            self.mask_left(torch.cat((left, right), dim=1)),
            self.mask_right(torch.cat((right, left), dim=1)),
        )

    def mask_logits(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """M_l and M_r before the sigmoid, N×1×H×W: all that the warm-up trains.

        Args:
            left: I_l, N×3×H×W in [0, 1]; height and width are multiples of 8.
            right: I_r, likewise.
        """
        return self._logits(*self._input(left, right))

    def halves(self, left: Tensor, right: Tensor) -> DualDerained:
        """Derain two halves; see :meth:`mask_logits` for the arguments."""
        left, right = self._input(left, right)
        logits = self._logits(left, right)
        clear_left = left - self.derain_left(torch.cat((left, logits[0].sigmoid()), dim=1))
        clear_right = right - self.derain_right(torch.cat((right, logits[1].sigmoid()), dim=1))
        combined = (clear_left + clear_right) / 2
        mask = torch.maximum(*logits).sigmoid()
        image = combined - self.fuse(torch.cat((combined, clear_left, clear_right, mask), dim=1))
        return DualDerained(
            image=(image + 1) / 2,
            combined=(combined + 1) / 2,
            left=(clear_left + 1) / 2,
            right=(clear_right + 1) / 2,
            left_logits=logits[0],
            right_logits=logits[1],
        )

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Derain the halves, or one picture taken for both.

        Args:
            x: Left and right half after each other, N×6×H×W, or one picture, N×3×H×W, in [0, 1];
                height and width are multiples of 8.
            state: Ignored; the network is stateless.

        Returns:
            Two stages, B_c and B; the attention of the drops is M_c.
        """
        left, right = (x, x) if x.shape[1] == 3 else x.chunk(2, dim=1)
        out = self.halves(left, right)
        drops = Branch(out.mask, None, None, None)
        stages = (Stage(out.combined, None, drops), Stage(out.image, None, drops))
        return Derained(out.image, None, stages)
