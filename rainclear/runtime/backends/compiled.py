"""PyTorch's compiler (``torch.compile`` with Inductor)."""

import os
import shlex
import shutil

import torch
from torch import Tensor

from rainclear.errors import DeviceError
from rainclear.nn.output import Derained
from rainclear.runtime.backends.base import Program, start_state

__all__ = ["CompileBackend"]


class CompileBackend:
    """The network compiled for each size; the first frame of a size takes up to a minute.

    Raises:
        DeviceError: There is no C++ compiler, which Inductor needs on a CPU.
    """

    name = "compile"

    def __init__(self, program: Program) -> None:
        if program.device.type == "cpu" and not _has_compiler():
            raise DeviceError(
                "backend 'compile' needs a C++ compiler on a CPU: install g++ or clang++ (or name "
                "one in CXX), or use --backend eager"
            )
        self._program = program
        self._network = program.network.to(
            program.device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        ).eval()
        self._compiled = torch.compile(self._network, dynamic=False)

    def prepare(self, size: tuple[int, int]) -> None:
        """Compile for frames of ``size``, with the state of a running stream."""
        frame = torch.zeros(1, 3, *size, device=self._program.device)
        frame = frame.contiguous(memory_format=torch.channels_last)
        state: tuple[Tensor, ...] | None = None
        for _ in range(2):  # the second frame's state may be laid out in another way
            state = self.run(frame, state).state

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`."""
        program = self._program
        state = state or start_state(self._network, batch) or None
        reduced = program.dtype != torch.float32
        try:
            with torch.autocast(program.device.type, program.dtype, enabled=reduced):
                result: Derained = self._compiled(batch, state)
        except (torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DeviceError(f"backend 'compile' failed: {reason}; use --backend eager") from error
        return result


def _has_compiler() -> bool:
    named = os.environ.get("CXX", "").strip()
    if not named or shutil.which(named):
        return any(shutil.which(name) for name in ([named] if named else ["g++", "clang++", "cl"]))
    try:
        return shutil.which(shlex.split(named)[0]) is not None  # as in CXX="ccache g++"
    except ValueError:  # a quotation mark without its partner
        return False
