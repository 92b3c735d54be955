"""What a training asks how good a network is."""

from typing import Protocol

from torch import Tensor, nn

__all__ = ["Scorer"]


class Scorer(Protocol):
    """Scores a network; :class:`rainclear.training.validation.Validation` is one."""

    @property
    def example(self) -> dict[str, Tensor] | None:
        """A clip to show what the network makes of it."""

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """Scores by name; the best ``score`` decides which weights are kept."""
