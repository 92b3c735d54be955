"""The state of PyTorch's random numbers, as a checkpoint keeps it."""

import torch
from torch import Tensor

__all__ = ["restore_rng", "rng_state"]


def rng_state() -> Tensor:
    """State of PyTorch's random numbers on the CPU and, after it, on this process's GPU."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states.append(torch.cuda.get_rng_state())
    return torch.cat(states)


def restore_rng(states: Tensor) -> None:
    """Go on with the random numbers that :func:`rng_state` found."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(states[:size].clone())
    if len(states) > size and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[size:].clone())
