"""From a name, ``auto`` included, to the backend that a :class:`rainclear.Derainer` uses."""

import torch
from torch import nn

from rainclear.nn.registry import Network
from rainclear.runtime.backends.auto import AutoBackend, Subject
from rainclear.runtime.backends.base import Backend
from rainclear.runtime.backends.make import check_name, make_backend, make_program
from rainclear.zoo import ModelFolder

__all__ = ["open_backend", "subject_of"]


def subject_of(folder: ModelFolder, device: torch.device, precision: str) -> Subject:
    """What ``auto`` chooses for: this model with these weights."""
    weights = folder.spec.weights
    checksum = weights.sha256[:12] if weights else ""
    return Subject(model=f"{folder.spec.name}-{checksum}", device=device, precision=precision)


def open_backend(
    network: nn.Module,
    descriptor: Network,
    *,
    device: torch.device,
    precision: str,
    name: str = "eager",
    folder: ModelFolder | None = None,
) -> Backend:
    """The backend called ``name`` for a folded network in evaluation mode.

    Args:
        network: The network.
        descriptor: Its descriptor.
        device: Where it runs.
        precision: auto, fp32, bf16 or fp16.
        name: ``auto`` or one of :data:`rainclear.runtime.backends.base.BACKENDS`.
        folder: The model it is of; without one, ``auto`` is eager, as nothing is remembered for a
            network that may change.

    Raises:
        DeviceError: The name is unknown, its package is not installed, or the backend does not run
            this network in this format on this device.
        ModelError: The network does not fit a graph.
    """
    if name == "auto" and folder is not None:
        return AutoBackend(network, descriptor, subject_of(folder, device, precision))
    wanted = check_name("eager" if name == "auto" else name)
    program = make_program(network, descriptor, backend=wanted, device=device, precision=precision)
    return make_backend(wanted, program)
