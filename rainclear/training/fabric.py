"""Where training runs: one device in this process, or several through Lightning Fabric.

The loop knows :class:`Devices` alone. This is the one module that imports Lightning, and only when
devices are asked for by number or a launcher started the process: one device needs nothing of it,
and importing it takes seconds.
"""

import importlib.util
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from rainclear.errors import ConfigError, DeviceError
from rainclear.runtime.device import resolve_device

__all__ = ["Accelerator", "Devices", "OneDevice", "open_devices"]

Accelerator = Literal["auto", "cpu", "cuda"]


class Devices(Protocol):
    """The processes that train together, seen from one of them.

    Attributes:
        device: This process's device.
        rank: Number of this process, 0 being the one that validates and writes.
        world: Number of processes.
    """

    device: torch.device
    rank: int
    world: int

    def wrap(self, module: nn.Module) -> Callable[..., Any]:
        """``module`` on the device; with several processes its gradients are averaged (DDP)."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``."""

    def local(self, module: Callable[..., Any], *, enabled: bool) -> AbstractContextManager[None]:
        """Inside, a backward pass does not average gradients: there is more to come."""

    def mean(self, values: Tensor) -> Tensor:
        """Mean of equally shaped tensors over all processes."""

    def gather(self, values: Tensor) -> Tensor:
        """Every process's tensor, P×… in the order of their ranks."""

    def barrier(self) -> None:
        """Wait until every process is here."""


class OneDevice:
    """This process alone, without Lightning.

    Args:
        device: Where it runs.
    """

    rank, world = 0, 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def wrap(self, module: nn.Module) -> nn.Module:
        """``module`` on the device."""
        return module.to(self.device)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``."""
        loss.backward()

    def local(self, module: Callable[..., Any], *, enabled: bool) -> AbstractContextManager[None]:
        """Nothing to hold back."""
        return nullcontext()

    def mean(self, values: Tensor) -> Tensor:
        """``values``."""
        return values

    def gather(self, values: Tensor) -> Tensor:
        """``values`` as the only one, 1×…."""
        return values[None]

    def barrier(self) -> None:
        """Nobody to wait for."""


class _FabricDevices:
    """Every call goes to one ``Fabric`` object; see :class:`Devices`."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.device: torch.device = fabric.device
        self.rank: int = fabric.global_rank
        self.world: int = fabric.world_size

    def wrap(self, module: nn.Module) -> Callable[..., Any]:
        wrapped: Callable[..., Any] = self.fabric.setup_module(module)
        return wrapped

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def local(self, module: Callable[..., Any], *, enabled: bool) -> AbstractContextManager[None]:
        if self.world == 1:
            return nullcontext()
        context: AbstractContextManager[None] = self.fabric.no_backward_sync(
            module, enabled=enabled
        )
        return context

    def mean(self, values: Tensor) -> Tensor:
        reduced: Tensor = self.fabric.all_reduce(values, reduce_op="mean")
        return reduced

    def gather(self, values: Tensor) -> Tensor:
        if self.world == 1:
            return values[None]
        values = values.to(self.device).contiguous()
        parts = [torch.empty_like(values) for _ in range(self.world)]
        torch.distributed.all_gather(parts, values)
        return torch.stack(parts)

    def barrier(self) -> None:
        self.fabric.barrier()


def open_devices(
    *, accelerator: Accelerator = "auto", devices: int | None = None, nodes: int | None = None
) -> Devices:
    """Start training processes, or join those that ``torchrun`` or ``fabric run`` started.

    One device in this process is what there is unless ``devices`` or ``nodes`` is given, or the
    processes were started from outside; their number is then taken from there.

    Args:
        accelerator: ``auto`` takes GPUs if there are any.
        devices: Devices of this machine. More than one start this command again, once a device.
        nodes: Machines.

    Raises:
        ConfigError: Devices are asked for and the extra ``train`` is not installed, or their
            number differs from that of the processes started from outside.
        DeviceError: This machine has no such device, or fewer of them.
    """
    launched = "TORCHELASTIC_RUN_ID" in os.environ  # by torchrun; `fabric run` uses it
    if launched:
        per_node = int(os.environ["LOCAL_WORLD_SIZE"])
        machines = int(os.environ["WORLD_SIZE"]) // per_node
        for name, asked, found in (("devices", devices, per_node), ("nodes", nodes, machines)):
            if asked not in (None, found):
                raise ConfigError(
                    f"--{name} {asked}, but the launcher started {found}; leave --{name} out"
                )
    else:
        per_node, machines = devices or 1, nodes or 1
    kind = resolve_device(accelerator).type
    if kind == "cuda" and per_node > torch.cuda.device_count():
        raise DeviceError(
            f"--devices {per_node}, but this machine has {torch.cuda.device_count()} GPUs"
        )
    if not launched and devices is None and nodes is None:
        return OneDevice(kind)
    if importlib.util.find_spec("lightning_fabric") is None:
        raise ConfigError(
            "--devices, --nodes and torchrun need Lightning Fabric: pip install 'rainclear[train]'"
        )
    return _FabricDevices(_launch(kind, per_node, machines))


def _launch(kind: str, per_node: int, machines: int) -> Any:
    from lightning_fabric import Fabric

    # Precision is the loop's own affair: Fabric would convert outputs and part shared branches.
    fabric = Fabric(
        accelerator=kind,
        devices=per_node,
        num_nodes=machines,
        strategy="ddp" if per_node * machines > 1 else "auto",
        precision="32-true",
    )
    fabric.launch()
    return fabric
