"""How weights begin, and which of them learn, where the recipe says so."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from rainclear.errors import ConfigError
from rainclear.nn.blocks import LEAK, init_gaussian, init_kaiming
from rainclear.nn.reparam import RepConv2d

__all__ = ["Init", "initialise", "keep_all_but"]

Init = Literal["gaussian", "kaiming"]


@torch.no_grad()
def initialise(network: nn.Module, kind: Init) -> None:
    """Draw all convolutions anew, in place; biases and re-parameterised side branches are zero.

    Args:
        network: The network, in training form.
        kind: ``gaussian`` is the paper's N(0, 0.01²) (Section 4.1); ``kaiming`` goes by fan-in,
            which trains faster.
    """
    if kind == "gaussian":
        init_gaussian(network)
    else:
        init_kaiming(network)
    for layer in network.modules():
        if isinstance(layer, RepConv2d):
            if kind == "gaussian":
                nn.init.normal_(layer.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(layer.weight, a=LEAK, nonlinearity="leaky_relu")
            for rest in (layer.bias, layer.point, layer.edge):
                if rest is not None:
                    nn.init.zeros_(rest)


def keep_all_but(network: nn.Module, only: Sequence[str]) -> list[nn.Parameter]:
    """Let only some parts of a network learn; returns their parameters.

    Args:
        network: The network, in training form. What is frozen already stays so.
        only: Beginnings of the names of the parameters that learn; all of them if empty.

    Raises:
        ConfigError: No parameter's name begins so.
    """
    named = dict(network.named_parameters())
    for part in only:
        if not any(name.startswith(part) for name in named):
            parts = dict.fromkeys(name.partition(".")[0] for name in named)
            raise ConfigError(
                f"training.only: the network has no part {part!r}; there are: {', '.join(parts)}"
            )
    if not only:
        return list(named.values())
    for name, parameter in named.items():
        if not name.startswith(tuple(only)):
            parameter.requires_grad_(False)
    return [parameter for parameter in named.values() if parameter.requires_grad]
