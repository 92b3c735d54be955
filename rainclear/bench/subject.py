"""What is timed: a model with its weights, a model without, or the reference; and its cost."""

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rainclear.bench.prenet import PRENET
from rainclear.nn.registry import Network
from rainclear.nn.reparam import fold_reparam
from rainclear.runtime.load import build_network, load_model, network_of, refuse_halves
from rainclear.zoo import find_model

__all__ = ["Cost", "Subject", "cost", "load_subject", "padded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A network that is to be timed.

    Attributes:
        name: Name of the model.
        network: Folded, in evaluation mode, on the CPU.
        descriptor: Its descriptor.
        weights: Whether they are the model's own. Random ones take the same time.
    """

    name: str
    network: nn.Module
    descriptor: Network
    weights: Literal["published", "random"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a network costs, however it is run.

    Attributes:
        parameters: Numbers in the weights that a frame runs through, folded; heads that nothing
            but training reads are none of them.
        multiply_adds: Of one frame amid a stream, in convolutions and matrix products.
    """

    parameters: int
    multiply_adds: int


def load_subject(model: str | None) -> Subject:
    """A model by its name or folder, or the reference for ``None``.

    A model that ships without weights gets random ones, the same each time.

    Raises:
        ModelError: The model is unknown, is for dual-pixel halves, or its weights are not what was
            published.
        ConfigError: Its architecture is unknown.
    """
    folder = None if model is None else find_model(model)
    if folder is not None:
        refuse_halves(folder)
    if model is not None and folder is not None and folder.spec.weights is not None:
        return Subject(
            name=folder.spec.name,
            network=load_model(model),
            descriptor=network_of(folder.spec.architecture),
            weights="published",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = PRENET.build() if folder is None else build_network(folder.spec.architecture)
    return Subject(
        name=PRENET.name if folder is None else folder.spec.name,
        network=fold_reparam(network).eval(),
        descriptor=PRENET if folder is None else network_of(folder.spec.architecture),
        weights="random",
    )


def padded(size: tuple[int, int], descriptor: Network) -> tuple[int, int]:
    """Height and width rounded up to what the network takes."""
    m = descriptor.size_multiple
    return size[0] + -size[0] % m, size[1] + -size[1] % m


@torch.no_grad()
def cost(network: nn.Module, size: tuple[int, int]) -> Cost:
    """Count for frames of ``size`` (height, width), without computing anything."""
    shapes = copy.deepcopy(network).to("meta")
    frame = torch.empty(1, 3, *size, device="meta")
    state = shapes(frame).state
    run: set[nn.Module] = set()
    for module in shapes.modules():
        module.register_forward_hook(lambda module, *_: run.add(module))
    with FlopCounterMode(display=False) as counter:
        shapes(frame, state)
    parameters = sum(p.numel() for module in run for p in module.parameters(recurse=False))
    return Cost(parameters=parameters, multiply_adds=counter.get_total_flops() // 2)
