"""Building blocks of the paper's networks (Tables 1-3) and how their weights begin."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.2
"""Negative slope of every LeakyReLU; the paper names the function and not its slope."""

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state of a `ConvLSTM`, each N×C×H×W."""


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 3×3 convolution with bias that keeps the picture's size."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


class ResBlock(nn.Module):
    """Two 3×3 convolutions around a skip connection, each followed by a LeakyReLU.

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3x3(channels, channels)
        self.second = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×H×W to N×C×H×W."""
        inner = F.leaky_relu(self.first(x), LEAK)
        return F.leaky_relu(x + self.second(inner), LEAK)


class ConvLSTM(nn.Module):
    """A convolutional LSTM cell: one 3×3 convolution over [x, h] gives all four gates.

    The gates lie in the order input, output, candidate, forget. Without a state (h = c = 0),
    the forget gate and the weights on h cannot change the result, so they are not computed:
    3/8 of the multiply-adds remain and the result is the same.

    Args:
        channels_in: Channels of x.
        channels: Channels of the hidden state h and the cell state c.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.channels_in = channels_in
        self.channels = channels
        self.gates = conv3x3(channels_in + channels, 4 * channels)

    def forward(self, x: Tensor, state: LSTMState | None = None) -> LSTMState:
        """Take one step.

        Args:
            x: N×channels_in×H×W.
            state: (h, c) of the step before, each N×channels×H×W; ``None`` stands for zeros.

        Returns:
            The new (h, c); h is the cell's output, in (-1, 1).
        """
        if state is None:
            used = 3 * self.channels
            weight, bias = self.gates.weight[:used, : self.channels_in], self.gates.bias
            gates = F.conv2d(x, weight, None if bias is None else bias[:used], padding=1)
            write, show, candidate = gates.chunk(3, dim=1)
            cell = torch.sigmoid(write) * torch.tanh(candidate)
        else:
            hidden, cell = state
            gates = self.gates(torch.cat((x, hidden), dim=1))
            write, show, candidate, keep = gates.chunk(4, dim=1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(candidate)
        return torch.sigmoid(show) * torch.tanh(cell), cell


@torch.no_grad()
def init_gaussian(module: nn.Module, std: float = 0.01) -> None:
    """Draw the convolutions' weights as the paper does (Section 4.1): N(0, std²), biases zero.

    Args:
        module: Changed in place, with everything below it.
        std: Standard deviation.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, mean=0.0, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def init_kaiming(module: nn.Module, residual_scale: float = 0.1) -> None:
    """Draw the weights by fan-in, which trains faster than the paper's σ = 0.01.

    LSTM gates, which end in sigmoid and tanh, get Xavier's rule. The last convolution of each
    residual block is scaled down, so that the variance does not grow from block to block.

    Args:
        module: Changed in place, with everything below it.
        residual_scale: Factor on the second convolution's weights of each `ResBlock`.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=LEAK, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in module.modules():
        if isinstance(layer, ResBlock):
            layer.second.weight.mul_(residual_scale)
        elif isinstance(layer, ConvLSTM):
            nn.init.xavier_normal_(layer.gates.weight)
