"""PyTorch as it is."""

import torch
from torch import Tensor

from rainclear.nn.output import Derained
from rainclear.runtime.backends.base import Program

__all__ = ["EagerBackend"]


class EagerBackend:
    """The network itself, channels last, under autocast for reduced formats."""

    name = "eager"

    def __init__(self, program: Program) -> None:
        self._device, self._dtype = program.device, program.dtype
        self._network = program.network.to(
            program.device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        ).eval()

    def prepare(self, size: tuple[int, int]) -> None:
        """Nothing to get ready."""

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            result: Derained = self._network(batch, state)
        return result
