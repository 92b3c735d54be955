"""One network for several streams: state and rain gate of each apart, the weights shared."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rainclear.runtime.derainer import Derainer
from rainclear.runtime.gate import GateChoice, RainGate, RainReading, find_gate
from rainclear.runtime.load import load_single, network_of
from rainclear.zoo import find_model

__all__ = ["DerainedPicture", "StreamDerainer"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DerainedPicture:
    """What goes on to the detector, and why.

    Attributes:
        pixels: H×W×3 uint8 BGR: the derained frame, or the frame as it came, bit for bit, where the
            rain gate is closed.
        reading: The rain in the frame: score, decision of the gate, and shares of the picture.
    """

    pixels: npt.NDArray[np.uint8]
    reading: RainReading

    @property
    def rain_score(self) -> float:
        """How rainy the frame was, 0..1."""
        return self.reading.score


class StreamDerainer:
    """Derains pictures that belong to several streams, or to none.

    Args:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        gate: Rain gate, whose hysteresis runs over the frames of each stream; by default the
            model's own, if it has one. ``False``: every frame is derained.

    Raises:
        ModelError: The model is unknown, has no weights, or they were altered; it has no gate of
            its own, or the gate is for other weights.
        DeviceError: This machine has no such device or the network no such precision.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = "auto",
        precision: str = "auto",
        gate: GateChoice = None,
    ) -> None:
        folder = find_model(model)
        self._gate = find_gate(folder, gate)
        self._folder, self._network = folder, load_single(model)
        self._descriptor = network_of(folder.spec.architecture)
        self._device, self._precision = device, precision
        self._stills = self._derainer()
        self._streams: dict[str, Derainer] = {}

    def reset(self) -> None:
        """Forget all streams."""
        self._streams.clear()

    def keep(self, streams: Collection[str | None]) -> None:
        """Forget all streams but these: a folder of videos leaves no states behind."""
        for name in self._streams.keys() - set(streams):
            del self._streams[name]

    def __call__(
        self, bgr: npt.NDArray[np.uint8], stream: str | None, *, frames: int | None = 0
    ) -> DerainedPicture:
        """Derain the next frame of a stream, or a still that stands for itself.

        Args:
            bgr: H×W×3 uint8, as OpenCV gives it.
            stream: Name of its stream; ``None`` for a still.
            frames: Frames of a stream that begins, ``None`` without end: for a long one the
                fastest backend is found out first (:meth:`rainclear.Derainer.prepare`).

        Raises:
            InputError: The array has another shape or type.
        """
        if stream is None:
            derainer = self._stills
            derainer.reset()
        else:
            if stream not in self._streams:
                self._streams[stream] = self._derainer()
                height, width = bgr.shape[:2]
                self._streams[stream].prepare((height, width), frames=frames)
            derainer = self._streams[stream]
        return DerainedPicture(pixels=derainer(bgr), reading=derainer.reading)

    def _derainer(self) -> Derainer:
        return Derainer.from_network(
            self._network,
            self._descriptor,
            device=self._device,
            precision=self._precision,
            gate=RainGate(self._gate),
            folder=self._folder,
        )
