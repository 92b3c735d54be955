"""ONNX Runtime on a CPU or a CUDA GPU (extra ``onnx``)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.runtime.backends.base import Program, require
from rainclear.runtime.backends.static import GraphBackend, Runner

__all__ = ["OnnxRuntimeBackend"]


class OnnxRuntimeBackend(GraphBackend):
    """ONNX Runtime with its CPU or CUDA provider; tensors are bound where they lie, not copied.

    Raises:
        DeviceError: ONNX Runtime is not installed, or it was built without CUDA.
    """

    name = "onnxruntime"

    def __init__(self, program: Program) -> None:
        require("onnxruntime", self.name)
        require("onnx", self.name)  # the network is written with it first
        self._providers = self._find_providers(program)
        super().__init__(program)

    def _find_providers(self, program: Program) -> list[Any]:
        if program.device.type == "cpu":
            return ["CPUExecutionProvider"]
        return [self._provider("CUDAExecutionProvider", program), "CPUExecutionProvider"]

    def _provider(self, name: str, program: Program, **options: Any) -> tuple[str, dict[str, Any]]:
        import onnxruntime

        if name not in onnxruntime.get_available_providers():
            raise DeviceError(
                f"backend {self.name!r}: this ONNX Runtime has no {name}; install "
                "onnxruntime-gpu in place of onnxruntime, or use --backend eager"
            )
        return name, {"device_id": program.device.index or 0, **options}

    def _load(self, model: bytes, inputs: Sequence[Tensor]) -> Runner:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for work by spinning would take the core from decoder and encoder.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(model, options, providers=self._providers)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            reason = (str(error).splitlines() or [""])[0]
            raise DeviceError(f"ONNX Runtime cannot run this network: {reason}") from error
        wanted = self._providers[0]
        wanted = wanted if isinstance(wanted, str) else wanted[0]
        if wanted not in session.get_providers():
            raise DeviceError(
                f"backend {self.name!r}: ONNX Runtime could not start {wanted}; its CUDA or "
                "TensorRT libraries are missing or of another version"
            )
        device, number = self._program.device.type, self._program.device.index or 0
        names = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
        binding = session.io_binding()

        def run(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
            for name, tensor in zip(names[0], inputs, strict=True):
                binding.bind_input(
                    name, device, number, np.float32, tuple(tensor.shape), tensor.data_ptr()
                )
            for name, tensor in zip(names[1], outputs, strict=True):
                binding.bind_output(
                    name, device, number, np.float32, tuple(tensor.shape), tensor.data_ptr()
                )
            if device == "cuda":
                # ONNX Runtime has a stream of its own: what PyTorch queued must be there.
                torch.cuda.current_stream(number).synchronize()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return run
