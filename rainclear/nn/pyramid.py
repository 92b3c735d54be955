"""Parts of the networks that look at a picture at several sizes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.reparam import RepConv2d

__all__ = [
    "Context",
    "Floor",
    "GatedMemory",
    "ResBlock",
    "WindowGate",
    "act",
    "means",
    "res_blocks",
]


def act(x: Tensor) -> Tensor:
    """The networks' nonlinearity, LeakyReLU."""
    return F.leaky_relu(x, 0.1)


def means(x: Tensor, side: int) -> Tensor:
    """Means over cells of ``side``² values, those at the edges over what there is of them.

    Cells are no larger than ``x``, which runtimes insist on.
    """
    cell = (side, side)
    if not torch.compiler.is_compiling():  # an exported program serves other sizes, too
        cell = (min(side, int(x.shape[-2])), min(side, int(x.shape[-1])))
    return F.avg_pool2d(x, cell, ceil_mode=True, count_include_pad=False)


class WindowGate(nn.Module):
    """Channel attention from means over a window, features ⊗ 2σ(MLP(mean)), which starts at 1.

    Means over the whole picture would mean one thing in a training crop and another in a frame
    (Chu et al., *Improving Image Restoration by Revisiting Global Information Aggregation*, 2022).

    Args:
        channels: Channels of the features.
        window: Height and width of the window, odd; what lies outside the picture does not count.
    """

    def __init__(self, channels: int, *, window: int = 9) -> None:
        super().__init__()
        self.window = window
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of N×C×H×W."""
        mean = F.avg_pool2d(
            x, self.window, stride=1, padding=self.window // 2, count_include_pad=False
        )
        return x * (2.0 * torch.sigmoid(self.expand(act(self.reduce(mean)))))


class ResBlock(nn.Module):
    """Two re-parameterised convolutions around which the features are passed on.

    Args:
        channels: Channels of the features.
        gated: Weigh the second convolution's channels by a :class:`WindowGate`.
    """

    def __init__(self, channels: int, *, gated: bool = False) -> None:
        super().__init__()
        self.first = RepConv2d(channels, channels)
        self.second = RepConv2d(channels, channels)
        self.gate = WindowGate(channels) if gated else nn.Identity()
        with torch.no_grad():  # near the identity at first, which trains more evenly
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Features N×C×H×W in and out."""
        return x + self.gate(self.second(act(self.first(act(x)))))


def res_blocks(channels: int, number: int, *, gated: bool = False) -> nn.Sequential:
    """``number`` blocks in a row."""
    return nn.Sequential(*(ResBlock(channels, gated=gated) for _ in range(number)))


class Floor(nn.Module):
    """One floor down and up again: features, plus what ``body`` makes of them at half their size.

    Args:
        channels: Channels of the features.
        width: Channels at half the size.
        body: Works there and keeps the shape.
    """

    def __init__(self, channels: int, width: int, body: nn.Module) -> None:
        super().__init__()
        self.down = RepConv2d(channels, width, stride=2)
        self.body = body
        self.up = nn.Conv2d(width, 4 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features N×C×H×W in and out; H and W may be odd."""
        height, width = x.shape[-2:]
        y = F.pixel_shuffle(self.up(self.body(self.down(act(x)))), 2)
        return x + y[..., :height, :width]


class Context(nn.Module):
    """Features pooled to a quarter of their size: haze and large drops need to be seen whole."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.body = nn.ModuleList([RepConv2d(width, width), RepConv2d(width, width)])
        self.expand = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features N×C×H×W in and out."""
        y = self.reduce(means(x, 4))
        for conv in self.body:
            y = act(conv(y))
        y = F.interpolate(self.expand(y), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return x + y


class GatedMemory(nn.Module):
    """Minimal gated recurrence over frames: h ← (1 − z)·h + z·c, z and c from [features, h].

    Args:
        channels: Channels of the features.
        hidden: Channels of the memory h.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gates = RepConv2d(channels + hidden, 2 * hidden)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Features N×C×H×W and memory N×``hidden``×H×W in and out."""
        z, c = self.gates(torch.cat([x, h], 1)).chunk(2, 1)
        h = h + torch.sigmoid(z) * (torch.tanh(c) - h)
        return x + self.expand(h), h
