"""OpenVINO in int8, from a model that was calibrated for this network (extra ``openvino``)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.nn.output import Derained
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.blocks import BLOCK_INPUTS
from rainclear.runtime.backends.int8_files import int8_file
from rainclear.runtime.backends.openvino import OpenVinoBackend

__all__ = ["OpenVinoInt8Backend"]


class OpenVinoInt8Backend(OpenVinoBackend):
    """The network's convolutions in int8, those that give pictures in the program's format.

    ``rainclear export MODEL --int8 --calibrate CLIP`` makes the model and keeps it in the user's
    cache. Pictures have 8 bits throughout: floats are rounded to levels on their way in.

    Raises:
        DeviceError: OpenVINO is not installed, the device is no CPU, or no int8 model of this
            network is kept.
    """

    name = "openvino-int8"

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._carried = torch.float32  # as in the file
        path = int8_file(program.network)
        if self._graph is None or path is None or not path.is_file():
            raise DeviceError(
                "backend 'openvino-int8' has no int8 model of this network: make one with "
                "rainclear export MODEL --int8 --calibrate CLIP, or use --backend openvino"
            )
        self._path = path

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`; rounded to 8 bits."""
        levels = batch.permute(0, 2, 3, 1).mul(255).round_().clamp_(0, 255).to(torch.uint8)
        out = self.run_bytes(levels.contiguous(), state)
        image = out.image.float().mul_(1 / 255)
        return out._replace(image=image, stages=(out.stages[-1]._replace(image=image),))

    def _model(self, core: Any, inputs: Sequence[Tensor]) -> Any:
        try:
            model = core.read_model(str(self._path))
            shapes = zip(BLOCK_INPUTS, inputs, strict=True)
            model.reshape({name: list(tensor.shape) for name, tensor in shapes})
        except RuntimeError as error:
            raise DeviceError(
                f"{self._path}: not a model that this OpenVINO reads; make it again with "
                "rainclear export MODEL --int8 --calibrate CLIP"
            ) from error
        return model
