"""PyTorch's own files: TorchScript, which C++ loads, and torch.export."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rainclear.errors import ModelError
from rainclear.export.artefact import RECORD, to_cpu
from rainclear.runtime.backends.graph import Graph

__all__ = ["ExportedFile", "ScriptFile"]


class ScriptFile:
    """A traced module; the record lies in its extra file ``rainclear.json``.

    A trace of these networks at 32×32 or more is valid for every size, so ``--dynamic`` changes
    nothing.
    """

    def __init__(self, graph: Graph, inputs: tuple[Tensor, ...]) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of its age, and of sizes that turn into constants
            traced = torch.jit.trace(graph, inputs, check_trace=False)
            self._traced = torch.jit.freeze(traced.eval())

    @torch.no_grad()
    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it by PyTorch."""
        return to_cpu(self._traced(*inputs))

    def save(self, path: Path, record: dict[str, Any]) -> list[Path]:
        """Write it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(
                self._traced, str(path), _extra_files={f"{RECORD}.json": json.dumps(record)}
            )
        return []


class ExportedFile:
    """A ``torch.export`` program; the record lies in its extra file ``rainclear.json``."""

    def __init__(self, graph: Graph, inputs: tuple[Tensor, ...], *, dynamic: bool) -> None:
        shapes = None
        if dynamic:
            free = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
            shapes = (free, (free,) * (len(inputs) - 1))
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                self._program = torch.export.export(graph, inputs, dynamic_shapes=shapes)
        except (RuntimeError, ValueError, torch._dynamo.exc.UserError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"torch.export cannot export this network: {reason}") from error
        self._module = self._program.module()

    @torch.no_grad()
    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it by PyTorch.

        Raises:
            ModelError: The program took the size that it was made at for a rule of all sizes.
        """
        try:
            return to_cpu(self._module(*inputs))
        except AssertionError as error:
            height, width = inputs[0].shape[2:]
            raise ModelError(
                f"torch.export found that this network does not run at {height}x{width} as it does "
                f"at the size it was traced at ({error}); use another --format, or leave out "
                "--dynamic"
            ) from error

    def save(self, path: Path, record: dict[str, Any]) -> list[Path]:
        """Write it."""
        torch.export.save(
            self._program, str(path), extra_files={f"{RECORD}.json": json.dumps(record)}
        )
        return []
