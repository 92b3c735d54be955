"""The average of the weights over the steps (EMA), which is what is validated and kept."""

import torch
from torch import Tensor, nn

__all__ = ["update_average"]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, step: int, ema: float) -> None:
    """Take the weights of a step into the average.

    Args:
        average: A copy of the network, which is changed.
        network: The network after the step.
        step: Steps done before; an average of few of them forgets the start sooner.
        ema: Share of the old average that a step keeps.
    """
    decay = min(ema, (1 + step) / (10 + step))
    averages: list[Tensor] = list(average.parameters())
    current: list[Tensor] = list(network.parameters())
    torch._foreach_lerp_(averages, current, 1 - decay)
    for ours, theirs in zip(average.buffers(), network.buffers(), strict=True):
        ours.copy_(theirs)  # statistics of a normalisation
