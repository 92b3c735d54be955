"""OpenVINO on a CPU (extra ``openvino``)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.runtime.backends.base import Program, require
from rainclear.runtime.backends.quiet import import_quietly
from rainclear.runtime.backends.static import GraphBackend, Runner

__all__ = ["OpenVinoBackend"]


class OpenVinoBackend(GraphBackend):
    """OpenVINO's CPU plugin, one stream, as many threads as PyTorch has.

    Raises:
        DeviceError: OpenVINO is not installed, or the device is no CPU.
    """

    name = "openvino"

    def __init__(self, program: Program) -> None:
        require("openvino", self.name)
        if program.device.type != "cpu":
            raise DeviceError(
                f"backend 'openvino' runs on the CPU, not on {program.device}; use --device cpu "
                "or another --backend"
            )
        super().__init__(program)

    def _load(self, model: bytes, inputs: Sequence[Tensor]) -> Runner:
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
        core = openvino.Core()
        try:
            compiled = core.compile_model(core.read_model(model), "CPU", settings)
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or [""])[-1]
            raise DeviceError(f"OpenVINO cannot run this network: {reason}") from error
        request = compiled.create_infer_request()

        def run(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
            for i, tensor in enumerate(inputs):
                request.set_input_tensor(i, shared(tensor))
            for i, tensor in enumerate(outputs):
                request.set_output_tensor(i, shared(tensor))
            request.infer()

        def shared(tensor: Tensor) -> Any:
            return openvino.Tensor(tensor.numpy(), shared_memory=True)

        return run
