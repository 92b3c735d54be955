"""A network over a stream of frames: owns the state, the padding and the conversions."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rainclear.config import GateSpec
from rainclear.frame import Frame
from rainclear.nn.output import Derained
from rainclear.nn.recurrent import LASTS
from rainclear.nn.registry import Network
from rainclear.runtime.backends.auto import AutoBackend
from rainclear.runtime.backends.base import Backend, byte_backend
from rainclear.runtime.backends.open import open_backend
from rainclear.runtime.cuts import same_scene, thumbnail
from rainclear.runtime.device import one_thread, resolve_device
from rainclear.runtime.gate import GateChoice, RainGate, RainReading, find_gate
from rainclear.runtime.load import load_single, network_of
from rainclear.runtime.pixels import Picture, as_bytes, as_input, as_picture, check_picture
from rainclear.runtime.stream_state import StreamState
from rainclear.zoo import ModelFolder, find_model

__all__ = ["Derainer"]

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
        ModelError: The model is unknown, takes dual-pixel halves, has no weights, or they were
            altered; it has no gate of its own, or the gate is for other weights.
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
            load_single(model),
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
        folder: ModelFolder | None = None,
    ) -> "Derainer":
        """Wrap a network that is at hand, such as one being trained.

        With the ``folder`` of the model that it is, the backend is ``auto``, else ``eager``.
        """
        self = cls.__new__(cls)
        self._device = resolve_device(device)
        runs = open_backend(
            network.eval(),
            descriptor,
            device=self._device,
            precision=precision,
            name="auto",
            folder=folder,
        )
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
        padded = self._padded(size)
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
    def gate(self) -> GateSpec | None:
        """The rain gate that may let frames pass as they came, if there is one."""
        return self._gate.spec

    @property
    def gated(self) -> bool:
        """Whether there is a rain gate that may let frames pass as they came."""
        return self.gate is not None

    def backend_for(self, size: tuple[int, int]) -> str:
        """Name of the backend for pictures of ``size``, height and width, after ``prepare``."""
        return self._running(size).name

    @property
    def state(self) -> StreamState:
        """What goes on to the next frame; given back by :meth:`restore`, the stream goes on.

        A copy: backends write the frames to come into the same memory.
        """
        network = self._state
        return StreamState(
            network=None if network is None else tuple(tensor.clone() for tensor in network),
            frames=self._frames,
            in_bytes=self._in_bytes,
            thumbnail=self._thumbnail,
            size=self._size,
            gate=self._gate.state,
        )

    def restore(self, state: StreamState) -> None:
        """Go on after the frame at which a derainer of the same settings had this state."""
        self._state, self._frames = state.network, state.frames
        self._in_bytes = state.in_bytes
        self._made_by: Backend | None = None
        self._thumbnail = state.thumbnail
        self._size = state.size
        self._gate.restore(state.gate)

    def reset(self) -> None:
        """Forget the frames seen so far: the next one begins a new stream."""
        self.restore(StreamState())

    def __call__(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Derain the next frame of an OpenCV loop: H×W×3 BGR uint8 in, the same out.

        Raises:
            InputError: The array is not H×W×3 uint8.
        """
        check_picture(frame, np.uint8)
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
        check_picture(rgb, np.uint8, np.uint16)
        height, width = rgb.shape[:2]
        backend = self._running((height, width))
        taker = byte_backend(backend) if rgb.dtype == np.uint8 else None
        multiple = self._descriptor.size_multiple
        x = as_input(rgb, multiple, self._device) if taker is None else as_bytes(rgb, multiple)
        in_bytes = taker is not None
        # Both ways, and each backend, keep their states in a form of their own.
        if self._in_bytes not in (None, in_bytes) or self._made_by not in (None, backend):
            self._state = None
        self._in_bytes, self._made_by = in_bytes, backend
        with one_thread():
            self._reset_at_cut(x if taker is None else x.permute(0, 3, 1, 2), (height, width))
        if self._state is None:
            self._frames = 0
        fresh = self._descriptor.stateful and self._frames % LASTS == 0
        runs = backend.run if taker is None else taker.run_bytes
        out: Derained = runs(x, self._state)
        self._state, self._frames = out.state, self._frames + 1
        with one_thread():
            self._reading = self._gate(out, height, width, fresh=fresh)
        if not self._reading.open:
            return rgb.copy()
        image = out.image[..., :height, :width]
        if taker is None:
            return as_picture(image, rgb.dtype)
        return np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())

    def _padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what the backend gets for pictures of ``size``."""
        m = self._descriptor.size_multiple
        return size[0] + -size[0] % m, size[1] + -size[1] % m

    def _running(self, size: tuple[int, int]) -> Backend:
        """What runs pictures of ``size``, height and width."""
        if isinstance(self._backend, AutoBackend):
            return self._backend.chosen(self._padded(size))
        return self._backend

    def _reset_at_cut(self, x: Tensor, size: tuple[int, int]) -> None:
        if not self._descriptor.stateful:
            return
        coarse, before = thumbnail(x), self._thumbnail
        if self._size != size or (before is not None and not same_scene(before, coarse)):
            self._state = None
        self._thumbnail, self._size = coarse, size
