"""What the graph runtimes share: one graph for each shape, and buffers that are allocated once."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rainclear.nn.output import Derained
from rainclear.runtime.backends.base import Program, start_state
from rainclear.runtime.backends.graph import Graph, example_inputs, onnx_bytes, signature_of

__all__ = ["KEPT", "GraphBackend", "Runner"]

Runner = Callable[[Sequence[Tensor], Sequence[Tensor]], None]
"""Reads all inputs and fills all outputs, contiguous float32 tensors in the signature's order."""

Shape = tuple[int, int, int]

KEPT = 4
"""Graphs that a backend keeps, of the shapes used last."""


class _Slot:
    """A runner for one shape with two sets of outputs, since one set may be the input's state."""

    def __init__(self, runner: Runner, outputs: list[list[Tensor]]) -> None:
        self.runner, self._outputs = runner, outputs

    def free(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        used = {tensor.data_ptr() for tensor in inputs}
        self._outputs.reverse()
        if any(tensor.data_ptr() in used for tensor in self._outputs[0]):
            self._outputs.reverse()
        return self._outputs[0]


class GraphBackend(ABC):
    """Traces the network for each shape of a batch and gives it to a runtime as ONNX.

    Fresh pages cost a CPU more than the arithmetic of a small layer, so outputs are written into
    buffers that stay. Graphs of the four shapes used last are kept.
    """

    name: str

    def __init__(self, program: Program) -> None:
        self._program = program
        self._network = program.network.to(program.device).eval()
        self._signature = signature_of(self._network, program.descriptor)
        self._slots: OrderedDict[Shape, _Slot] = OrderedDict()

    @abstractmethod
    def _load(self, model: bytes, inputs: Sequence[Tensor]) -> Runner:
        """A runner of the ONNX model for inputs of these shapes."""

    def prepare(self, size: tuple[int, int]) -> None:
        """Build the graph for single frames of ``size``."""
        self._slot((1, *size))

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`."""
        before = start_state(self._network, batch) if state is None else state
        inputs = [t.to(torch.float32).contiguous() for t in (batch, *before)]
        slot = self._slot((batch.shape[0], batch.shape[2], batch.shape[3]))
        outputs = slot.free(inputs)
        slot.runner(inputs, outputs)
        return self._signature.answer(outputs)

    def _slot(self, shape: Shape) -> _Slot:
        if shape in self._slots:
            self._slots.move_to_end(shape)
            return self._slots[shape]
        with torch.inference_mode(False), torch.no_grad():
            inputs = example_inputs(self._network, shape)
            graph = Graph(self._network, self._signature).eval()
            like = graph(*inputs)
            model = onnx_bytes(graph, inputs)
            outputs = [[torch.empty(t.shape, device=t.device) for t in like] for _ in range(2)]
        slot = _Slot(self._load(model, inputs), outputs)
        self._slots[shape] = slot
        while len(self._slots) > KEPT:
            self._slots.popitem(last=False)
        return slot
