"""One network for several streams: the state of each apart, the weights shared."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rainclear.runtime.derainer import Derainer
from rainclear.runtime.load import load_model, network_of
from rainclear.zoo import find_model

__all__ = ["DerainedPicture", "StreamDerainer"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DerainedPicture:
    """A derained frame.

    Attributes:
        pixels: H×W×3 uint8 BGR.
        rain_score: How rainy the frame was, 0..1.
    """

    pixels: npt.NDArray[np.uint8]
    rain_score: float


class StreamDerainer:
    """Derains pictures that belong to several streams, or to none.

    Args:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        ModelError: The model is unknown, has no weights, or they were altered.
        DeviceError: This machine has no such device or the network no such precision.
    """

    def __init__(self, model: str, *, device: str = "auto", precision: str = "auto") -> None:
        self._network = load_model(model)
        self._descriptor = network_of(find_model(model).spec.architecture)
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

    def __call__(self, bgr: npt.NDArray[np.uint8], stream: str | None) -> DerainedPicture:
        """Derain the next frame of a stream, or a still that stands for itself.

        Args:
            bgr: H×W×3 uint8, as OpenCV gives it.
            stream: Name of its stream; ``None`` for a still.

        Raises:
            InputError: The array has another shape or type.
        """
        if stream is None:
            derainer = self._stills
            derainer.reset()
        else:
            if stream not in self._streams:
                self._streams[stream] = self._derainer()
            derainer = self._streams[stream]
        return DerainedPicture(pixels=derainer(bgr), rain_score=derainer.rain_score)

    def _derainer(self) -> Derainer:
        return Derainer.from_network(
            self._network, self._descriptor, device=self._device, precision=self._precision
        )
