"""The protocol of inference backends, and what each of them is given."""

import importlib.util
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor, nn

from rainclear.errors import DeviceError
from rainclear.nn.output import Derained
from rainclear.nn.registry import Network
from rainclear.runtime.backends.quiet import import_quietly

__all__ = [
    "BACKENDS",
    "EXTRAS",
    "Backend",
    "BackendName",
    "ByteBackend",
    "Program",
    "byte_backend",
    "require",
    "start_state",
]

BackendName = Literal["eager", "compile", "openvino", "openvino-int8", "onnxruntime", "tensorrt"]

BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
"""All backends by name; ``auto`` is a choice among them."""

EXTRAS = {
    "openvino": "openvino",
    "openvino-int8": "openvino",
    "onnxruntime": "onnx",
    "tensorrt": "tensorrt",
}
"""The extra of this package that installs what a backend needs."""


class Backend(Protocol):
    """Runs one network. Not safe to share between threads."""

    name: str

    def prepare(self, size: tuple[int, int]) -> None:
        """Get ready for frames of ``size`` (height, width), so that the first is not slow.

        Raises:
            DeviceError: The backend cannot run this network here.
        """

    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """Run on N×3×H×W float32 RGB in [0, 1], sizes multiples of the network's.

        Returns:
            What the network returns: the picture, the state to give with the next frame, and the
            last stage with its attention maps, of which every 4th pixel in both directions may be
            all there is. A graph backend reuses its buffers: what it returns stays as it is while
            the *next* call runs, and may be overwritten by the one after.

        Raises:
            DeviceError: The backend cannot run this network here.
        """


@runtime_checkable
class ByteBackend(Backend, Protocol):
    """A backend that may take 8-bit pictures as they are: five passes over a picture less."""

    @property
    def takes_bytes(self) -> bool:
        """Whether :meth:`run_bytes` runs this network."""

    def run_bytes(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """Run on N×H×W×3 uint8 RGB, contiguous; sizes are multiples of the network's.

        Returns:
            As :meth:`run`, but for the picture: N×3×H×W uint8, channels last, clamped and rounded.
            It is the caller's, and not written to again.

        Raises:
            DeviceError: The backend cannot run this network here.
        """


def byte_backend(backend: Backend) -> "ByteBackend | None":
    """``backend`` if it takes 8-bit pictures as they are."""
    return backend if isinstance(backend, ByteBackend) and backend.takes_bytes else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A network and how it is to run.

    Attributes:
        network: Folded, in evaluation mode.
        descriptor: Its descriptor.
        device: Where it runs.
        dtype: Number format of the convolutions.
    """

    network: nn.Module
    descriptor: Network
    device: torch.device
    dtype: torch.dtype = torch.float32


def require(package: str, backend: str) -> None:
    """Import ``package``, so that one that is missing or broken is known before anything runs.

    Raises:
        DeviceError: It is not installed (the message names the extra), or cannot be imported.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    found = spec is not None and spec.origin is not None  # a folder that was left behind has none
    if not found:
        raise DeviceError(
            f"backend {backend!r} needs the package {package}, which is not installed: "
            f"pip install 'rainclear[{EXTRAS[backend]}]', or use --backend eager"
        )
    try:
        import_quietly(package)
    except DeviceError as error:
        raise DeviceError(f"backend {backend!r}: {error}, or use --backend eager") from error


def start_state(network: nn.Module, frame: Tensor) -> tuple[Tensor, ...]:
    """The state before the first frame; empty for stateless networks."""
    initial = getattr(network, "initial_state", None)
    return () if initial is None else tuple(initial(frame))
