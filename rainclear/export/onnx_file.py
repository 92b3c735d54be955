"""ONNX files (extra ``onnx``)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rainclear.export.artefact import RECORD, require_extra
from rainclear.runtime.backends.graph import Graph, onnx_bytes

__all__ = ["OnnxFile"]


class OnnxFile:
    """An ONNX model, run by ONNX Runtime's CPU provider.

    Args:
        model: The serialised model.
    """

    def __init__(self, model: bytes) -> None:
        for package in ("onnx", "onnxruntime"):
            require_extra(package, "onnx", "format onnx")
        import onnxruntime

        self._model = model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._names = [i.name for i in self._session.get_inputs()]

    @classmethod
    def build(cls, graph: Graph, inputs: tuple[Tensor, ...], *, dynamic: bool) -> "OnnxFile":
        """Trace the graph."""
        return cls(onnx_bytes(graph, inputs, dynamic=dynamic))

    @property
    def model(self) -> bytes:
        """The serialised model."""
        return self._model

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it by ONNX Runtime."""
        feed = {n: t.contiguous().numpy() for n, t in zip(self._names, inputs, strict=True)}
        return [torch.from_numpy(value) for value in self._session.run(None, feed)]

    def save(self, path: Path, record: dict[str, Any]) -> list[Path]:
        """Write it, the record among the model's ``metadata_props``."""
        import onnx

        model = onnx.load_model_from_string(self._model)
        entry = model.metadata_props.add()
        entry.key, entry.value = RECORD, json.dumps(record)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return []
