"""Builds a network and fills in its published weights."""

import difflib
import inspect
import textwrap
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rainclear.config import ArchitectureSpec
from rainclear.errors import ConfigError, ModelError
from rainclear.nn.registry import NETWORKS, Network
from rainclear.nn.reparam import fold_reparam
from rainclear.runtime.packing import unpack_weights
from rainclear.zoo import ModelFolder, find_model, models_root

__all__ = [
    "build_network",
    "load_model",
    "load_single",
    "network_of",
    "refuse_halves",
    "takes_single",
]


def network_of(spec: ArchitectureSpec) -> Network:
    """The registry's descriptor that ``spec`` names.

    Raises:
        ConfigError: There is no such network.
    """
    if spec.network not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise ConfigError(f"no network named {spec.network!r}; there are: {known}")
    return NETWORKS[spec.network]


def build_network(spec: ArchitectureSpec) -> nn.Module:
    """The network that ``spec`` describes, in training form, freshly initialised.

    Raises:
        ConfigError: The network or one of its options is unknown (the nearest name is given), or
            an option has a value that the network does not take.
    """
    options: dict[str, Any] = spec.options
    build = network_of(spec).build
    parameters = inspect.signature(build).parameters.values()
    known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    for name in options:
        if name not in known and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"network {spec.network!r}: unknown option {name!r}; {hint}")
    try:
        return build(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"network {spec.network!r}: {error}") from error


def takes_single(spec: ArchitectureSpec) -> bool:
    """Whether single pictures are what the network is for, and not dual-pixel halves alone.

    Raises:
        ConfigError: There is no such network.
    """
    return not network_of(spec).dual_pixel or spec.options.get("single") is True


def refuse_halves(folder: ModelFolder) -> None:
    """Refuse a model for dual-pixel halves where single pictures are to go in.

    It would take one for both halves and give something, but no derained picture.

    Raises:
        ModelError: The model is one.
        ConfigError: There is no such network.
    """
    if not takes_single(folder.spec.architecture):
        shown = folder.spec.name if folder.path == models_root() / folder.spec.name else folder.path
        raise ModelError(
            f"model {str(shown)!r} takes dual-pixel halves, not single pictures; "
            f"use it with: rainclear derain-dual LEFT RIGHT -o OUT --model {shown}"
        )


def load_single(name: str) -> nn.Module:
    """A trained network that takes single pictures; see :func:`load_model`.

    Raises:
        ModelError: As there, or the model takes dual-pixel halves.
    """
    refuse_halves(find_model(name))
    return load_model(name)


def load_model(name: str) -> nn.Module:
    """A trained network by its name (``rainclear models`` lists them) or its folder, on the CPU.

    The network is folded for inference and in evaluation mode. It takes N×3×H×W float RGB in [0, 1]
    and the state of the frame before, and returns :class:`rainclear.nn.output.Derained`; see
    :class:`rainclear.Derainer` for something that takes pictures.

    Raises:
        ModelError: There is no such model, it has no weights, its weights were altered, or they do
            not fit the network.
    """
    folder = find_model(name)
    path = folder.checked_weights()
    network = fold_reparam(build_network(folder.spec.architecture))
    try:
        weights: dict[str, Tensor] = unpack_weights(load_file(path))
        network.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        # PyTorch's first line only names the class; the second says what differs, at length.
        reason = textwrap.shorten(str(error).splitlines()[:2][-1], 160, placeholder=" …")
        raise ModelError(
            f"the weights in {path} do not fit {folder.spec.name!r}: {reason}"
        ) from error
    return network.eval()
