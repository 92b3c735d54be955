"""PReNet, the reference that every figure of the benchmark is a ratio to.

Written from the description in *Progressive Image Deraining Networks: A Better and Simpler
Baseline* (Ren et al., CVPR 2019), with random weights: it is here to be timed, and derains nothing.
"""

import torch
from torch import Tensor, nn

from rainclear.nn.output import Derained, Stage
from rainclear.nn.registry import Network

__all__ = ["PRENET", "PReNet"]


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class _ResBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.second(torch.relu(self.first(x))))
        return torch.relu(inner + x)


class PReNet(nn.Module):
    """Six passes of one small network over [picture, result so far], an LSTM between them.

    All layers are 3×3 and at full resolution: conv 6→32, ConvLSTM of 32, five residual blocks of
    32, conv 32→3, plus the picture. The LSTM's four gates are one convolution, which gives the same
    numbers as the published four and is faster. 168,963 parameters, 1,010,880 multiply-adds a
    pixel.

    Args:
        stages: Passes with the same weights.
        width: Channels.
        blocks: Residual blocks.
    """

    def __init__(self, *, stages: int = 6, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.stages, self.width = stages, width
        self.head = _conv(6, width)
        self.gates = _conv(2 * width, 4 * width)
        self.body = nn.Sequential(*(_ResBlock(width) for _ in range(blocks)))
        self.tail = _conv(width, 3)

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Map N×3×H×W (RGB, [0, 1]) to a picture of that size, not clamped; it has no state."""
        image = hidden = cell = x
        for stage in range(self.stages):
            features = torch.relu(self.head(torch.cat([x, image], 1)))
            if stage == 0:
                hidden = cell = torch.zeros_like(features)
            gates = self.gates(torch.cat([features, hidden], 1))
            write, keep, candidate, show = gates.chunk(4, 1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(candidate)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
            image = self.tail(self.body(hidden)) + x
        return Derained(image=image, state=None, stages=(Stage(image, None, None),))


PRENET = Network(name="prenet", build=PReNet, summary="PReNet, random weights: to be timed")
"""Descriptor of the reference; it is in no list of models."""
