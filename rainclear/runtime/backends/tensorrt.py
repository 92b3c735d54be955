"""TensorRT, through ONNX Runtime's provider (extra ``tensorrt``)."""

import hashlib
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.cache import cache_folder
from rainclear.runtime.backends.onnxruntime import OnnxRuntimeBackend
from rainclear.runtime.backends.static import Runner

__all__ = ["TensorRtBackend"]


class TensorRtBackend(OnnxRuntimeBackend):
    """TensorRT engines, built for each size on first use (minutes) and kept in the user's cache.

    They compute in fp32. What TensorRT cannot run falls to ONNX Runtime's CUDA provider.

    Raises:
        DeviceError: The device is no GPU, or ONNX Runtime or its TensorRT provider is missing.
    """

    name = "tensorrt"

    def _find_providers(self, program: Program) -> list[Any]:
        if program.device.type != "cuda":
            raise DeviceError(
                "backend 'tensorrt' needs an NVIDIA GPU: use --device cuda, or another --backend"
            )
        return [
            self._provider("TensorrtExecutionProvider", program),
            self._provider("CUDAExecutionProvider", program),
            "CPUExecutionProvider",
        ]

    def _load(self, model: bytes, inputs: Sequence[Tensor]) -> Runner:
        name, options = self._providers[0]
        self._providers[0] = name, options | _cache_options(model)
        return super()._load(model, inputs)


def _cache_options(model: bytes) -> dict[str, Any]:
    """Where the engine of this model is kept: the provider tells engines apart by names alone."""
    folder = cache_folder()
    if folder is None:
        return {}
    engines = folder / "tensorrt" / hashlib.sha256(model).hexdigest()[:16]
    try:
        engines.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(engines.parent),
    }
