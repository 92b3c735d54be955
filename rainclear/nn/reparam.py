"""Convolutions that train as several branches and run as one.

Every branch is linear, so their sum *is* one 3×3 kernel (ECBSR, Zhang et al. 2021; RepVGG, Ding et
al. 2021). The sum is taken over the kernels, not over the activations: the branches cost nothing
in training either, and a folded network gives the same numbers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["RepConv2d", "fold_reparam"]

_SOBEL_X = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
_SOBEL_Y = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


class RepConv2d(nn.Module):
    """3×3 convolution whose kernel is the sum of a 3×3, a 1×1 and three edge branches.

    Args:
        in_channels: Channels of the input N×C×H×W.
        out_channels: Channels of the output.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        conv = nn.Conv2d(in_channels, out_channels, 3)
        self.weight = nn.Parameter(conv.weight.detach())
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_normal_(self.weight, a=0.1)
        self.point: nn.Parameter | None = nn.Parameter(torch.zeros(out_channels, in_channels))
        self.edge: nn.Parameter | None = nn.Parameter(torch.zeros(3, out_channels, in_channels))
        filters = torch.tensor([_SOBEL_X, _SOBEL_Y, _LAPLACIAN]) / 8.0
        self.register_buffer("filters", filters, persistent=False)

    def kernel(self) -> Tensor:
        """The one kernel that all branches add up to, shape (out, in, 3, 3)."""
        if self.point is None or self.edge is None:
            return self.weight
        edges = torch.einsum("boi,bhw->oihw", self.edge, self.filters)
        return self.weight + edges + F.pad(self.point[..., None, None], (1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve N×C×H×W with zero padding; size is kept (halved with stride 2)."""
        return F.conv2d(x, self.kernel(), self.bias, stride=self.stride, padding=1)

    @torch.no_grad()
    def fold(self) -> None:
        """Write the sum of the branches into ``weight`` and drop them. Cannot be undone."""
        self.weight.copy_(self.kernel())
        self.point = None
        self.edge = None


def fold_reparam(module: nn.Module) -> nn.Module:
    """Fold every :class:`RepConv2d` inside ``module`` for inference, in place; returns it."""
    for child in module.modules():
        if isinstance(child, RepConv2d):
            child.fold()
    return module
