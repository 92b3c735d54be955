"""OpenVINO in int8, with ranges that were found for this network (extra ``openvino``)."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.nn.output import Derained
from rainclear.nn.recurrent import RecurrentDDAiAM
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.graph import Graph
from rainclear.runtime.backends.int8_files import Int8Ranges, find_int8
from rainclear.runtime.backends.int8_graph import Int8Graph
from rainclear.runtime.backends.openvino import OpenVinoBackend, read_model
from rainclear.runtime.backends.openvino_quantise import quantise_openvino, round_to_bytes
from rainclear.runtime.backends.quiet import import_quietly
from rainclear.runtime.backends.static import Runner

__all__ = ["OpenVinoInt8Backend"]


class OpenVinoInt8Backend(OpenVinoBackend):
    """The network's convolutions in int8, but those that cost more than they win.

    Models come with the ranges that this needs; for weights of one's own
    ``rainclear export MODEL --int8 --calibrate CLIP`` finds them and keeps them in the user's
    cache. Networks that run over blocks have pictures of 8 bits throughout: floats are rounded to
    levels on their way in. Others read and give floats.

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
        ranges = ranges or find_int8(program.network)
        if ranges is None:
            raise DeviceError(
                "backend 'openvino-int8' knows no ranges of this network: find them with "
                "rainclear export MODEL --int8 --calibrate CLIP, or use --backend openvino"
            )
        self._ranges = ranges.ranges
        if self._graph is None:
            return
        graph = Int8Graph(cast(RecurrentDDAiAM, self._network)).eval()
        try:
            graph.even_out(ranges.factors)
        except (AttributeError, ValueError, RuntimeError) as error:
            raise DeviceError(f"the ranges for int8 are of another network: {error}") from error
        self._graph = graph

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`; of blocks rounded to 8 bits."""
        if self._graph is None:
            return super().run(batch, state)
        levels = batch.permute(0, 2, 3, 1).mul(255).round_().clamp_(0, 255).to(torch.uint8)
        out = self.run_bytes(levels.contiguous(), state)
        image = out.image.float().mul_(1 / 255)
        return out._replace(image=image, stages=(out.stages[-1]._replace(image=image),))

    def _model(self, core: Any, inputs: Sequence[Tensor]) -> Any:
        assert self._graph is not None
        model = super()._model(core, inputs)
        quantise_openvino(model, self._graph, self._ranges)
        round_to_bytes(model)
        return model

    def _load(self, model: bytes, inputs: Sequence[Tensor]) -> Runner:
        core = import_quietly("openvino").Core()
        whole = read_model(core, model)
        quantise_openvino(whole, Graph(self._network, self._signature), self._ranges)
        return self._compile(core, whole)
