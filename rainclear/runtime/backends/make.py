"""From names to backends: which formats each takes, what is missing, how one is made."""

import difflib
import importlib
from typing import cast

import torch
from torch import nn

from rainclear.errors import DeviceError
from rainclear.nn.ensemble import SelfEnsemble
from rainclear.nn.registry import Network
from rainclear.runtime.backends.base import BACKENDS, Backend, BackendName, Program
from rainclear.runtime.backends.ensemble import EnsembleBackend
from rainclear.runtime.device import resolve_precision

__all__ = ["FORMATS", "check_name", "make_backend", "make_program"]

FORMATS: dict[BackendName, tuple[str, ...]] = {
    "eager": ("fp32", "bf16", "fp16"),
    "compile": ("fp32", "bf16", "fp16"),
    "openvino": ("fp32", "bf16"),
    "openvino-int8": ("fp32", "bf16"),
    "onnxruntime": ("fp32",),
    "tensorrt": ("fp32",),
}
"""Number formats that each backend computes in; ONNX Runtime has no fast bf16 on a CPU.

Of ``openvino-int8`` it is the format of what is not quantised."""

_HOMES = {
    "eager": ("eager", "EagerBackend"),
    "compile": ("compiled", "CompileBackend"),
    "openvino": ("openvino", "OpenVinoBackend"),
    "openvino-int8": ("openvino_int8", "OpenVinoInt8Backend"),
    "onnxruntime": ("onnxruntime", "OnnxRuntimeBackend"),
    "tensorrt": ("tensorrt", "TensorRtBackend"),
}


_GRAPHS = ("openvino", "openvino-int8", "onnxruntime", "tensorrt")
"""Those that are given a graph; the others run a network's own ``forward``."""


def check_name(name: str) -> BackendName:
    """``name`` if a backend is called so.

    Raises:
        DeviceError: None is; the nearest name is given.
    """
    if name not in BACKENDS:
        near = difflib.get_close_matches(name, BACKENDS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DeviceError(f"unknown backend {name!r}{hint}; use auto, {', '.join(BACKENDS)}")
    return name


def make_program(
    network: nn.Module,
    descriptor: Network,
    *,
    backend: BackendName,
    device: torch.device,
    precision: str,
) -> Program:
    """The network in the best number format that both it and the backend take.

    Raises:
        DeviceError: ``precision`` is unknown, or the backend or the network does not take it.
    """
    formats = tuple(p for p in descriptor.precisions if p in FORMATS[backend])
    if precision in descriptor.precisions and precision not in formats:
        raise DeviceError(
            f"backend {backend!r} does not compute in {precision}; use --precision "
            f"{' or '.join(formats)}, or another --backend"
        )
    dtype = resolve_precision(precision, device, formats)
    return Program(network=network, descriptor=descriptor, device=device, dtype=dtype)


def make_backend(name: BackendName, program: Program) -> Backend:
    """The backend of that name for ``program``; its packages are imported now.

    Raises:
        DeviceError: A package is missing (the message names the extra) or cannot be imported, or
            it does not run here.
        ModelError: The network does not fit a graph.
    """
    module, kind = _HOMES[name]
    home = importlib.import_module(f"rainclear.runtime.backends.{module}")
    make = getattr(home, kind)
    if isinstance(program.network, SelfEnsemble) and name in _GRAPHS:
        return EnsembleBackend(program, make)
    return cast(Backend, make(program))
