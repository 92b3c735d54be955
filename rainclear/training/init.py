"""How weights begin, where the recipe says so."""

from typing import Literal

import torch
from torch import nn

from rainclear.nn.blocks import LEAK, init_gaussian, init_kaiming
from rainclear.nn.reparam import RepConv2d

__all__ = ["Init", "initialise"]

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
