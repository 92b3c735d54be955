"""A network over a stream of frames: owns the state, the padding and the conversions."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.nn.output import Derained
from rainclear.nn.registry import Network
from rainclear.runtime.backends.auto import AutoBackend
from rainclear.runtime.backends.base import Backend, ByteBackend, byte_backend
from rainclear.runtime.backends.open import open_backend
from rainclear.runtime.cuts import same_scene, thumbnail
from rainclear.runtime.device import resolve_device
from rainclear.runtime.gate import GateChoice, RainGate, RainReading, find_gate
from rainclear.runtime.load import load_model, network_of
from rainclear.zoo import find_model

__all__ = ["Derainer"]

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
F_or_array = TypeVar("F_or_array", Frame, npt.NDArray[Any])


class Derainer:
    """Takes the rain out of the frames of **one** stream; use one for each camera.

    State is carried from frame to frame. It is dropped when the picture's size changes, at a cut
    (the coarse picture changes by more than 20 % of full scale) and by :meth:`reset`.

    Args:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        gate: Rain gate: ``True`` for the one calibrated for the model, ``None`` for that if there
            is one, or a :class:`rainclear.config.GateSpec`. Dry frames then pass as they came, bit
            for bit. By default every frame is derained.
        backend: ``eager``, ``compile``, ``openvino``, ``openvino-int8``, ``onnxruntime``,
            ``tensorrt``, or ``auto``: what was measured to be fastest for a size on this machine
            (see :meth:`prepare`), and eager for sizes that were not measured.

    Raises:
        ModelError: The model is unknown, has no weights, or they were altered; it has no gate of
            its own, or the gate is for other weights.
        DeviceError: This machine has no such device, the network no such precision, or a package
            of the backend is not installed.

    Example:
        >>> derainer = Derainer("d-daiam-rt")
        >>> while True:
        ...     ok, frame = camera.read()  # an OpenCV loop: BGR in, BGR out
        ...     cv2.imshow("derained", derainer(frame))
    """

    def __init__(
        self,
        model: str = "d-daiam-rt",
        *,
        device: str = "auto",
        precision: str = "auto",
        gate: GateChoice = False,
        backend: str = "auto",
    ) -> None:
        folder = find_model(model)
        descriptor = network_of(folder.spec.architecture)
        self._device = resolve_device(device)
        runs = open_backend(
            load_model(model),
            descriptor,
            device=self._device,
            precision=precision,
            name=backend,
            folder=folder,
        )
        self._init(runs, descriptor, RainGate(find_gate(folder, gate)))

    def _init(self, backend: Backend, descriptor: Network, gate: RainGate | None = None) -> None:
        self._backend = backend
        self._descriptor = descriptor
        self._gate = gate or RainGate(None)
        self._reading = RainReading(score=0.0)
        self.reset()

    @classmethod
    def from_network(
        cls,
        network: nn.Module,
        descriptor: Network,
        *,
        device: str = "auto",
        precision: str = "auto",
        gate: RainGate | None = None,
    ) -> "Derainer":
        """Wrap a network that is at hand, such as one being trained."""
        self = cls.__new__(cls)
        self._device = resolve_device(device)
        runs = open_backend(network.eval(), descriptor, device=self._device, precision=precision)
        self._init(runs, descriptor, gate)
        return self

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._device

    def prepare(self, size: tuple[int, int], *, frames: int | None = None) -> None:
        """Get ready for a stream of pictures of ``size``, so that its first frame is not slow.

        With ``backend="auto"`` this is where the backends are measured, if the size was not
        measured before on this machine and the stream is long enough to be worth the seconds.

        Args:
            size: Height and width of the pictures.
            frames: Frames to come; ``None`` for a stream without end, such as a camera.

        Raises:
            DeviceError: The backend cannot run the network.
        """
        m = self._descriptor.size_multiple
        padded = size[0] + -size[0] % m, size[1] + -size[1] % m
        if isinstance(self._backend, AutoBackend):
            self._backend.prepare(padded, frames)
        else:
            self._backend.prepare(padded)

    @property
    def rain_score(self) -> float:
        """How rainy the last frame was, 0..1: calibrated with a gate, else the mean joint S⁺."""
        return self._reading.score

    @property
    def reading(self) -> RainReading:
        """The rain of the last frame: score, gate, and shares of the picture."""
        return self._reading

    @property
    def gated(self) -> bool:
        """Whether there is a rain gate that may let frames pass as they came."""
        return self._gate.spec is not None

    def reset(self) -> None:
        """Forget the frames seen so far: the next one begins a new stream."""
        self._state: tuple[Tensor, ...] | None = None
        self._in_bytes: bool | None = None
        self._thumbnail: Tensor | None = None
        self._size: tuple[int, int] | None = None
        self._gate.reset()

    def __call__(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Derain the next frame of an OpenCV loop: H×W×3 BGR uint8 in, the same out.

        Raises:
            InputError: The array is not H×W×3 uint8.
        """
        _check(frame, np.uint8)
        # Not a reversed view: OpenCV cannot draw into one, and torch does not take it.
        rgb = self.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        bgr: npt.NDArray[np.uint8] = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        return bgr

    def stream(self, frames: Iterable[F_or_array]) -> Iterator[F_or_array]:
        """Derain frames one after the other, lazily.

        Args:
            frames: :class:`rainclear.Frame` objects (RGB), or H×W×3 BGR uint8 arrays as OpenCV
                gives them.

        Yields:
            The same kind as went in; a ``Frame`` keeps its time stamp and gets
            ``metadata["rain_score"]`` and ``metadata["rain_reading"]``.
        """
        for frame in frames:
            if isinstance(frame, Frame):
                pixels = self.process(frame.pixels)
                notes = {
                    **frame.metadata,
                    "rain_score": self.rain_score,
                    "rain_reading": self.reading,
                }
                yield replace(frame, pixels=pixels, metadata=notes)
            else:
                yield self(frame)

    @torch.inference_mode()
    def process(self, rgb: Picture) -> Picture:
        """Derain the next frame, H×W×3 RGB uint8 or uint16 (full range).

        Raises:
            InputError: The array has another shape or type.
        """
        _check(rgb, np.uint8, np.uint16)
        height, width = rgb.shape[:2]
        taker = self._byte_backend(rgb)
        x = self._to_input(rgb) if taker is None else self._to_bytes(rgb)
        in_bytes = taker is not None
        if self._in_bytes not in (None, in_bytes):  # the two keep their states in different forms
            self._state = None
        self._in_bytes = in_bytes
        self._reset_at_cut(x if taker is None else x.permute(0, 3, 1, 2), (height, width))
        fresh = self._descriptor.stateful and self._state is None
        runs = self._backend.run if taker is None else taker.run_bytes
        out: Derained = runs(x, self._state)
        self._state = out.state
        self._reading = self._gate(out, height, width, fresh=fresh)
        if not self._reading.open:
            return rgb.copy()
        image = out.image[..., :height, :width]
        if taker is None:
            return _to_picture(image, rgb.dtype)
        return image[0].permute(1, 2, 0).numpy().copy()  # the backend uses its buffer again

    def _padding(self, rgb: Picture) -> tuple[int, int]:
        """Rows below and columns to the right that make a picture a multiple of the size."""
        m = self._descriptor.size_multiple
        return -rgb.shape[0] % m, -rgb.shape[1] % m

    def _byte_backend(self, rgb: Picture) -> ByteBackend | None:
        """The backend, if it takes these pixels as they are."""
        if rgb.dtype != np.uint8:
            return None
        if isinstance(self._backend, AutoBackend):
            bottom, right = self._padding(rgb)
            return self._backend.bytes_for((rgb.shape[0] + bottom, rgb.shape[1] + right))
        return byte_backend(self._backend)

    def _to_bytes(self, rgb: Picture) -> Tensor:
        """1×H×W×3 uint8, padded by replication to the size multiple."""
        bottom, right = self._padding(rgb)
        padded = np.pad(rgb, ((0, bottom), (0, right), (0, 0)), "edge") if bottom or right else rgb
        return torch.from_numpy(np.require(padded, requirements=["C", "W"]))[None]

    def _to_input(self, rgb: Picture) -> Tensor:
        """1×3×H×W float in [0, 1], channels-last, padded by replication to the size multiple."""
        scale = 255.0 if rgb.dtype == np.uint8 else 65535.0
        if rgb.dtype == np.uint16 and self._device.type == "cpu":
            pixels = torch.from_numpy(rgb.astype(np.float32))
        else:
            pixels = (
                torch.from_numpy(np.require(rgb, requirements=["C", "W"])).to(self._device).float()
            )
        x = pixels.mul_(1.0 / scale).permute(2, 0, 1)[None]
        bottom, right = self._padding(rgb)
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        return x.contiguous(memory_format=torch.channels_last)

    def _reset_at_cut(self, x: Tensor, size: tuple[int, int]) -> None:
        if not self._descriptor.stateful:
            return
        coarse, before = thumbnail(x), self._thumbnail
        if self._size != size or (before is not None and not same_scene(before, coarse)):
            self._state = None
        self._thumbnail, self._size = coarse, size


def _to_picture(image: Tensor, dtype: npt.DTypeLike) -> Picture:
    """H×W×3 array from 1×3×H×W in [0, 1]: clamped and rounded."""
    scale = 255.0 if dtype == np.uint8 else 65535.0
    scaled = image[0].float().clamp(0.0, 1.0).mul_(scale).round_().permute(1, 2, 0)
    if dtype == np.uint8:
        return scaled.to(torch.uint8).contiguous().cpu().numpy()
    return scaled.contiguous().cpu().numpy().astype(np.uint16)


def _check(picture: object, *kinds: type[np.generic]) -> None:
    if (
        not isinstance(picture, np.ndarray)
        or picture.ndim != 3
        or picture.shape[2] != 3
        or not picture.size
        or picture.dtype not in kinds
    ):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"a frame must be an H×W×3 array of {names}, not {_what(picture)}")


def _what(value: object) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{dtype} of shape {tuple(shape)}"
