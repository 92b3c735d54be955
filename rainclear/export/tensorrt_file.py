"""TensorRT engines (extra ``tensorrt``): for one GPU model and one version of TensorRT."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rainclear.errors import DeviceError, ModelError
from rainclear.export.artefact import BESIDE, require_extra, to_cpu
from rainclear.runtime.backends.graph import Graph, onnx_bytes

__all__ = ["TensorRtFile"]

_RANGE = (0.25, 1.0, 2.0)  # smallest, best and largest side of a dynamic engine, of --size


class TensorRtFile:
    """A serialised engine, run on the first GPU; the record is written beside it as JSON."""

    def __init__(self, engine: bytes) -> None:
        import tensorrt

        self._bytes = engine
        self._engine = tensorrt.Runtime(_logger()).deserialize_cuda_engine(engine)
        self._context = self._engine.create_execution_context()

    @classmethod
    def build(
        cls,
        graph: Graph,
        inputs: tuple[Tensor, ...],
        *,
        dynamic: bool,
        multiple: int,
    ) -> "TensorRtFile":
        """Parse the graph as ONNX and build an engine, which takes minutes.

        Layers compute in the number format that they were traced in (strong typing).

        Raises:
            ModelError: tensorrt or onnx is not installed, or TensorRT cannot build this network.
            DeviceError: There is no GPU.
        """
        for package in ("tensorrt", "onnx"):
            require_extra(package, "tensorrt", "format tensorrt")
        if not torch.cuda.is_available():
            raise DeviceError("format tensorrt builds for the GPU at hand, and there is none")
        import tensorrt

        builder = tensorrt.Builder(_logger())
        typed = tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
        network = builder.create_network(1 << int(typed))
        parser = tensorrt.OnnxParser(network, _logger())
        if not parser.parse(onnx_bytes(graph, inputs, dynamic=dynamic)):
            raise ModelError(f"TensorRT cannot read this network: {parser.get_error(0)}")
        config = builder.create_builder_config()
        if dynamic:
            profile = builder.create_optimization_profile()
            for name, tensor in zip(graph.signature.inputs, inputs, strict=True):
                shapes = [_scaled(inputs[0], tensor, factor, multiple) for factor in _RANGE]
                profile.set_shape(name, *shapes)
            config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise ModelError("TensorRT could not build an engine; its log above says why")
        return cls(bytes(engine))

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it on the GPU."""
        import tensorrt

        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        mode = tensorrt.TensorIOMode.INPUT
        taken = [n for n in names if self._engine.get_tensor_mode(n) == mode]
        given = [n for n in names if n not in taken]
        held = [t.contiguous().cuda() for t in inputs]
        for name, tensor in zip(taken, held, strict=True):
            self._context.set_input_shape(name, tuple(tensor.shape))
            self._context.set_tensor_address(name, tensor.data_ptr())
        results = [
            torch.empty(tuple(self._context.get_tensor_shape(n)), device="cuda") for n in given
        ]
        for name, tensor in zip(given, results, strict=True):
            self._context.set_tensor_address(name, tensor.data_ptr())
        torch.cuda.synchronize()
        stream = torch.cuda.Stream()
        self._context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return to_cpu(results)

    def save(self, path: Path, record: dict[str, Any]) -> list[Path]:
        """Write the engine, and the record beside it."""
        path.write_bytes(self._bytes)
        beside = path.with_suffix(BESIDE["tensorrt"])
        beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return [beside]


def _logger() -> Any:
    import tensorrt

    return tensorrt.Logger(tensorrt.Logger.WARNING)


def _scaled(frame: Tensor, tensor: Tensor, factor: float, multiple: int) -> tuple[int, ...]:
    """The shape of ``tensor`` when the frame's sides are ``factor`` times as long."""
    sides = [max(multiple, round(s * factor / multiple) * multiple) for s in frame.shape[2:]]
    ratio = [f // t for f, t in zip(frame.shape[2:], tensor.shape[2:], strict=True)]
    return (*tensor.shape[:2], *(s // r for s, r in zip(sides, ratio, strict=True)))
