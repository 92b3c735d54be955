"""Distillation: a finished model, frozen, whose pictures a smaller one learns to make."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.output import Derained
from rainclear.runtime.load import load_single

__all__ = ["Teacher", "state_length"]

_PROBE = 32
_NEAR = 8
"""Pixels to each side over which a teacher's error is judged."""
_HELPS = 0.8
"""A teacher helps where it leaves less than this share of the rain's squared error."""


@torch.no_grad()
def state_length(network: nn.Module) -> int:
    """Number of tensors in the state that a network carries from frame to frame."""
    parameter = next(network.parameters(), torch.empty(0))
    training = network.training
    out: Derained = network.eval()(parameter.new_zeros(1, 3, _PROBE, _PROBE))
    network.train(training)
    return len(out.state or ())


class Teacher(nn.Module):
    """A network that sees the student's clips, carries its own state, and never changes.

    Args:
        network: The network, trained.

    Attributes:
        carries: Number of tensors in the state that it carries from frame to frame.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.carries = state_length(network)

    @classmethod
    def load(cls, name: str) -> "Teacher":
        """A model by its name or folder.

        Raises:
            ModelError: There is no such model, or it has no weights.
        """
        return cls(load_single(name))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever the student is in."""
        return super().train(False)

    @torch.no_grad()
    def forward(
        self, rainy: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The teacher's picture of a frame, without gradients, and its new state.

        Args:
            rainy: Frame N×3×H×W in [0, 1].
            state: Its state after the frame before; empty at the first, or if it carries none.
        """
        out: Derained = self.network(rainy, state or None)
        return out.image, out.state or ()

    def alone(self, rainy: Tensor, clean: Tensor) -> Tensor:
        """What to learn from frames seen by themselves, half of them mirrored.

        A network makes another mistake of a mirrored frame: the student comes near their mean. A
        frame is mirrored where the sum of its 8-bit values is odd. That is as good as a coin, and
        the same however a batch is cut into parts or shared out among devices.
        Where the teacher's picture leaves 80 % or more of the rain's squared error, in the 17×17
        pixels around, the clean one is given instead: also where there is no rain.

        Args:
            rainy: Frames N×3×H×W in [0, 1], of 8 bits.
            clean: The truth, likewise.

        Returns:
            Pictures N×3×H×W, not clamped.
        """
        levels = (rainy * 255).round()
        mirror = levels.sum((1, 2, 3), keepdim=True, dtype=torch.int64) % 2 == 1
        picture, _ = self(torch.where(mirror, rainy.flip(3), rainy), ())
        picture = picture.float()
        picture = torch.where(mirror, picture.flip(3), picture)
        left, rain = (_around((p - clean).square()) for p in (picture, rainy))
        return torch.where(left < _HELPS * rain, picture, clean)


def _around(error: Tensor) -> Tensor:
    """Mean error N×1×H×W of the pixels around each one."""
    return F.avg_pool2d(error.mean(1, keepdim=True), 2 * _NEAR + 1, 1, _NEAR)
