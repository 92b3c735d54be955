"""What every format gives: something that runs, and that can be saved with a record inside."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from rainclear.errors import ModelError

__all__ = [
    "BESIDE",
    "FORMATS",
    "RECORD",
    "SUFFIXES",
    "Artefact",
    "Format",
    "Run",
    "require_extra",
    "to_cpu",
]

Format = Literal["onnx", "openvino", "tensorrt", "torchscript", "exported"]

FORMATS: tuple[Format, ...] = get_args(Format)

SUFFIXES: dict[Format, str] = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "tensorrt": ".engine",
    "torchscript": ".ts",
    "exported": ".pt2",
}

BESIDE: dict[Format, str] = {"openvino": ".bin", "tensorrt": ".json"}
"""Suffix of the second file that a format writes."""

RECORD = "rainclear"
"""Key of the record, a JSON object, in a file's metadata."""

Run = Callable[[Sequence[Tensor]], list[Tensor]]
"""Inputs to outputs, contiguous float32 tensors on the CPU in the signature's order."""


class Artefact(Protocol):
    """A network in a format, not yet on disk under its name."""

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run it as its runtime does; float32 tensors on the CPU."""

    def save(self, path: Path, record: dict[str, Any]) -> list[Path]:
        """Write it with the record as metadata; returns further files written beside ``path``."""


def require_extra(package: str, extra: str, what: str) -> None:
    """Check that a package is installed.

    Raises:
        ModelError: It is not; the message names the extra to install.
    """
    if importlib.util.find_spec(package) is None:
        raise ModelError(
            f"{what} needs the package {package}, which is not installed: "
            f"pip install 'rainclear[{extra}]'"
        )


def to_cpu(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Float32 on the CPU."""
    return [torch.as_tensor(t).detach().float().cpu() for t in outputs]
