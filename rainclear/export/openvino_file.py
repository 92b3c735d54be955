"""OpenVINO files, ``.xml`` and ``.bin`` (extra ``openvino``)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rainclear.export.artefact import BESIDE, RECORD, require_extra
from rainclear.runtime.backends.graph import Graph, onnx_bytes
from rainclear.runtime.backends.quiet import import_quietly

__all__ = ["OpenVinoFile"]


class OpenVinoFile:
    """An OpenVINO model, run by the CPU plugin.

    Args:
        model: An ``openvino.Model``.
        half: Store weights as float16; the plugin computes in whatever it does best.
    """

    def __init__(self, model: Any, *, half: bool = False) -> None:
        openvino = import_quietly("openvino")
        self.model, self._half = model, half
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)

    @classmethod
    def build(
        cls, graph: Graph, inputs: tuple[Tensor, ...], *, dynamic: bool, half: bool
    ) -> "OpenVinoFile":
        """Trace the graph and read it with OpenVINO's ONNX frontend.

        Raises:
            ModelError: openvino, or onnx, with which the graph is written first, is not installed.
        """
        for package in ("openvino", "onnx"):
            require_extra(package, "openvino", "format openvino")
        openvino = import_quietly("openvino")
        model = openvino.Core().read_model(onnx_bytes(graph, inputs, dynamic=dynamic))
        if half:
            # What saving would do: checked as it will be, not as it was.
            inner = import_quietly("openvino._offline_transformations")
            inner.compress_model_transformation(model)
        return cls(model, half=half)

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it by OpenVINO."""
        results = self._compiled([t.contiguous().numpy() for t in inputs])
        return [torch.from_numpy(value.copy()) for value in results.values()]

    def save(self, path: Path, record: dict[str, Any]) -> list[Path]:
        """Write both files, the record in the model's ``rt_info``."""
        openvino = import_quietly("openvino")
        self.model.set_rt_info(json.dumps(record), [RECORD])
        openvino.save_model(self.model, str(path), compress_to_fp16=self._half)
        return [path.with_suffix(BESIDE["openvino"])]
