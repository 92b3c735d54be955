"""OpenVINO on a CPU (extra ``openvino``)."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.nn.output import Branch, Derained, Stage
from rainclear.runtime.backends.base import Program, require
from rainclear.runtime.backends.blocks import (
    BLOCK_INPUTS,
    MIDDLE,
    BlockGraph,
    block_graph,
)
from rainclear.runtime.backends.graph import traced
from rainclear.runtime.backends.layout import from_blocks, to_blocks
from rainclear.runtime.backends.quiet import import_quietly
from rainclear.runtime.backends.static import KEPT, GraphBackend, Runner
from rainclear.runtime.device import one_thread

__all__ = ["OpenVinoBackend", "read_model"]

_UNIT = 1 / 255


class OpenVinoBackend(GraphBackend):
    """OpenVINO's CPU plugin, one stream, as many threads as PyTorch has.

    Networks of our own sizes run over blocks of pixels (see
    :mod:`rainclear.runtime.backends.blocks`), others as they are.

    Raises:
        DeviceError: OpenVINO is not installed, or the device is no CPU.
    """

    name = "openvino"

    def __init__(self, program: Program) -> None:
        require("openvino", self.name)
        require("onnx", self.name)  # graphs are handed over in its format
        if program.device.type != "cpu":
            raise DeviceError(
                f"backend 'openvino' runs on the CPU, not on {program.device}; use --device cpu "
                "or another --backend"
            )
        super().__init__(program)
        self._graph = block_graph(self._network, byte=False)
        self._carried = program.dtype if program.dtype == torch.bfloat16 else torch.float32
        self._of_blocks: OrderedDict[tuple[bool, int, int, int], _Blocks] = OrderedDict()

    @property
    def takes_bytes(self) -> bool:
        """Whether :meth:`run_bytes` runs this network."""
        return self._graph is not None

    def prepare(self, size: tuple[int, int]) -> None:
        """Build the graph for single frames of ``size``; that of :meth:`run_bytes`, if there is."""
        if self._graph is None:
            super().prepare(size)
        else:
            self._blocks((1, *size), byte=True)

    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`."""
        if self._graph is None:
            return super().run(batch, state)
        with torch.inference_mode():
            blocks = self._blocks((batch.shape[0], batch.shape[2], batch.shape[3]), byte=False)
            torch.mul(batch.permute(0, 2, 3, 1), 255, out=blocks.picture)
            return blocks.run(blocks.picture, state)

    @torch.inference_mode()
    def run_bytes(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.ByteBackend`."""
        shape = (batch.shape[0], batch.shape[1], batch.shape[2])
        return self._blocks(shape, byte=True).run(batch, state)

    def carried(self, pictures: Tensor) -> Tensor:
        """N×H×W×3 uint8 as :meth:`run_bytes` carries the pictures that came out before."""
        assert self._graph is not None
        count, height, width, _ = pictures.shape
        side = self._graph.block
        blocks = torch.empty(count, height // side, width // side, 3 * side**2, dtype=torch.uint8)
        to_blocks(pictures, blocks, side)
        if self._graph.takes_bytes:
            return blocks
        return blocks.float().sub_(MIDDLE).to(self._carried)

    def _blocks(self, shape: tuple[int, int, int], *, byte: bool) -> "_Blocks":
        key = (byte, *shape)
        if key in self._of_blocks:
            self._of_blocks.move_to_end(key)
            return self._of_blocks[key]
        assert self._graph is not None
        with torch.inference_mode(False):
            if not self._graph.takes_bytes:
                self._graph.byte = byte
                self._graph.dtype = self._carried if byte else torch.float32
            inputs = self._graph.example(shape)
            core = import_quietly("openvino").Core()
            runner = self._compile(core, self._model(core, inputs))
            made = _Blocks(self._graph, runner, inputs, shape)
        self._of_blocks[key] = made
        while len(self._of_blocks) > KEPT:
            self._of_blocks.popitem(last=False)
        return made

    def _model(self, core: Any, inputs: Sequence[Tensor]) -> Any:
        """The graph over blocks for inputs of these shapes."""
        assert self._graph is not None
        names = BLOCK_INPUTS, self._graph.outputs
        return read_model(core, traced(self._graph, tuple(inputs), names=names))

    def _load(self, model: bytes, inputs: Sequence[Tensor]) -> Runner:
        core = import_quietly("openvino").Core()
        return self._compile(core, read_model(core, model))

    def _compile(self, core: Any, model: Any) -> Runner:
        openvino = import_quietly("openvino")
        precision = "bf16" if self._program.dtype == torch.bfloat16 else "f32"
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            # Decoder and encoder share the cores; threads tied to a core would wait for them.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise _refusal(error) from error
        request = compiled.create_infer_request()

        def run(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
            for i, tensor in enumerate(inputs):
                request.set_input_tensor(i, shared(tensor))
            for i, tensor in enumerate(outputs):
                request.set_output_tensor(i, shared(tensor))
            request.infer()

        def shared(tensor: Tensor) -> Any:
            if tensor.dtype != torch.bfloat16:
                return openvino.Tensor(tensor.numpy(), shared_memory=True)
            bits = tensor.view(torch.int16).numpy()  # NumPy has no bfloat16
            return openvino.Tensor(bits, list(tensor.shape), openvino.Type.bf16)

        return run


def read_model(core: Any, model: bytes) -> Any:
    """An ``openvino.Model`` from ONNX.

    Raises:
        DeviceError: OpenVINO does not read it.
    """
    try:
        return core.read_model(model)
    except RuntimeError as error:
        raise _refusal(error) from error


def _refusal(error: RuntimeError) -> DeviceError:
    reason = (str(error).strip().splitlines() or [""])[-1]
    return DeviceError(
        f"OpenVINO cannot run this network for frames of this size: {reason}; use another --backend"
    )


class _Blocks:
    """A graph over blocks for one shape, with its buffers: two of each that the state is made of.

    The state is the picture before, in blocks as the graph takes it, and the memory, channels last.

    Args:
        graph: What was compiled.
        runner: Runs it.
        inputs: Its inputs, which serve as buffers from here on.
        shape: Number, height and width of the pictures.
    """

    def __init__(
        self,
        graph: BlockGraph,
        runner: Runner,
        inputs: tuple[Tensor, ...],
        shape: tuple[int, int, int],
    ) -> None:
        self._block, self._byte, self._runner = graph.block, graph.byte, runner
        self._takes_bytes = graph.takes_bytes
        self._frame, previous, self._empty = inputs
        count, height, width = shape
        pixels = torch.uint8 if graph.byte else torch.float32
        self.picture = torch.empty(count, height, width, 3, dtype=pixels)
        # Where both are of one type, it is cut where the graph reads it.
        cut_apart = pixels != self._frame.dtype
        self._cut = torch.empty(previous.shape, dtype=pixels) if cut_apart else self._frame
        self._sets = [self._buffers(previous) for _ in range(2)]

    def _buffers(self, previous: Tensor) -> "_Buffers":
        image = torch.empty_like(self._cut)
        return _Buffers(
            image=image,
            carried=image if self._takes_bytes else torch.empty_like(previous),
            maps=torch.empty(*previous.shape[:3], 2),
            memory=torch.empty_like(self._empty),
        )

    def run(self, picture: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """Run on N×H×W×3, uint8 or float32 levels."""
        to_blocks(picture, self._cut, self._block)
        if not self._takes_bytes:
            with one_thread():
                if self._cut is not self._frame:
                    self._frame.copy_(self._cut)
                self._frame.sub_(MIDDLE)
        before = (self._frame, self._empty) if state is None else (self._taken(state[0]), state[1])
        self._sets.reverse()
        if any(s.data_ptr() in {t.data_ptr() for t in self._sets[0]} for s in before):
            self._sets.reverse()
        out = self._sets[0]
        self._runner((self._frame, *before), out.of_graph())
        shown = torch.empty_like(self.picture)  # given away
        from_blocks(out.image, shown, self._block)
        attention = out.maps.permute(0, 3, 1, 2)
        streaks, drops = (
            Branch(attention=attention[:, i : i + 1], heavy=None, light=None, image=None)
            for i in range(2)
        )
        result = (shown if self._byte else shown.mul_(_UNIT)).permute(0, 3, 1, 2)
        return Derained(result, (out.carried, out.memory), (Stage(result, streaks, drops),))

    def _taken(self, picture: Tensor) -> Tensor:
        """The picture before as this graph takes it, should it come from the other one."""
        if picture.dtype == self._frame.dtype:
            return picture
        return (picture + MIDDLE).round().sub_(MIDDLE).to(self._frame.dtype)


class _Buffers(NamedTuple):
    """What a graph over blocks fills."""

    image: Tensor
    carried: Tensor
    maps: Tensor
    memory: Tensor

    def of_graph(self) -> tuple[Tensor, ...]:
        """Those that the graph fills, in its order."""
        carried = () if self.carried is self.image else (self.carried,)
        return self.image, *carried, self.maps, self.memory
