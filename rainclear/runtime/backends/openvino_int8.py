"""OpenVINO in int8, with ranges that were found for this network (extra ``openvino``)."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.nn.output import Derained
from rainclear.nn.recurrent import RecurrentDDAiAM
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.int8_files import Int8Ranges, find_int8
from rainclear.runtime.backends.int8_graph import Int8Graph
from rainclear.runtime.backends.openvino import OpenVinoBackend
from rainclear.runtime.backends.openvino_quantise import quantise_openvino

__all__ = ["OpenVinoInt8Backend"]


class OpenVinoInt8Backend(OpenVinoBackend):
    """The network's convolutions in int8, but those that cost more than they win.

    Models come with the ranges that this needs; for weights of one's own
    ``rainclear export MODEL --int8 --calibrate CLIP`` finds them and keeps them in the user's
    cache. Pictures have 8 bits throughout: floats are rounded to levels on their way in.

    Args:
        program: What is to run; its number format is that of what is not quantised.
        ranges: Instead of those that are kept.

    Raises:
        DeviceError: OpenVINO is not installed, the device is no CPU, or there are no ranges for
            this network.
    """

    name = "openvino-int8"

    def __init__(self, program: Program, ranges: Int8Ranges | None = None) -> None:
        super().__init__(program)
        if ranges is None and self._graph is not None:
            ranges = find_int8(program.network)
        if self._graph is None or ranges is None:
            raise DeviceError(
                "backend 'openvino-int8' knows no ranges of this network: find them with "
                "rainclear export MODEL --int8 --calibrate CLIP, or use --backend openvino"
            )
        graph = Int8Graph(cast(RecurrentDDAiAM, self._network)).eval()
        try:
            graph.even_out(ranges.factors)
        except (AttributeError, ValueError, RuntimeError) as error:
            raise DeviceError(f"the ranges for int8 are of another network: {error}") from error
        self._graph, self._ranges = graph, ranges.ranges

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`; rounded to 8 bits."""
        levels = batch.permute(0, 2, 3, 1).mul(255).round_().clamp_(0, 255).to(torch.uint8)
        out = self.run_bytes(levels.contiguous(), state)
        image = out.image.float().mul_(1 / 255)
        return out._replace(image=image, stages=(out.stages[-1]._replace(image=image),))

    def _model(self, core: Any, inputs: Sequence[Tensor]) -> Any:
        assert self._graph is not None
        model = super()._model(core, inputs)
        quantise_openvino(model, self._graph, self._ranges)
        return model
