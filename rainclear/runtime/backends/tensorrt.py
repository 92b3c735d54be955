"""TensorRT, through ONNX Runtime's provider (extra ``tensorrt``)."""

from typing import Any

import torch

from rainclear.errors import DeviceError
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.cache import cache_folder
from rainclear.runtime.backends.onnxruntime import OnnxRuntimeBackend

__all__ = ["TensorRtBackend"]


class TensorRtBackend(OnnxRuntimeBackend):
    """TensorRT engines, built for each size on first use (minutes) and kept in the user's cache.

    What TensorRT cannot run falls to ONNX Runtime's CUDA provider.

    Raises:
        DeviceError: The device is no GPU, or ONNX Runtime or its TensorRT provider is missing.
    """

    name = "tensorrt"

    def _find_providers(self, program: Program) -> list[Any]:
        if program.device.type != "cuda":
            raise DeviceError(
                "backend 'tensorrt' needs an NVIDIA GPU: use --device cuda, or another --backend"
            )
        options: dict[str, Any] = {"trt_fp16_enable": program.dtype == torch.float16}
        folder = cache_folder()
        if folder is not None:
            options |= {
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": str(folder / "tensorrt"),
                "trt_timing_cache_enable": True,
                "trt_timing_cache_path": str(folder / "tensorrt"),
            }
        return [
            self._provider("TensorrtExecutionProvider", program, **options),
            self._provider("CUDAExecutionProvider", program),
            "CPUExecutionProvider",
        ]
