"""``cv2.VideoCapture`` with the rain taken out: existing OpenCV loops change one line."""

from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.runtime.derainer import Derainer
from rainclear.runtime.gate import GateChoice, RainReading

__all__ = ["VideoCapture"]

BGR = npt.NDArray[np.uint8]

_SEEKS = frozenset({cv2.CAP_PROP_POS_MSEC, cv2.CAP_PROP_POS_FRAMES, cv2.CAP_PROP_POS_AVI_RATIO})


class VideoCapture:
    """Reads derained frames; methods, properties and their meaning are those of OpenCV.

    As in OpenCV, a source that cannot be opened does not raise: :meth:`isOpened` is ``False`` and
    :meth:`read` returns ``(False, None)``.

    Example:
        >>> camera = rainclear.VideoCapture(0)  # was: cv2.VideoCapture(0)
        >>> while camera.isOpened():
        ...     ok, frame = camera.read()  # H×W×3 BGR uint8
        ...     if not ok:
        ...         break

    Args:
        source: Name of a file, URL, or number of a camera.
        api: OpenCV's ``apiPreference``.
        derainer: A derainer to use, reset first; else one is made of the others.
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backend: As for :class:`rainclear.Derainer`. With ``auto`` the fastest is measured when a
            camera or a long file of a size that is new to this machine is opened, in some seconds.
        gate: Rain gate; by default the model's own, if it has one. Dry frames then pass untouched.

    Raises:
        ModelError: The model is unknown, has no weights, or they were altered.
        DeviceError: This machine has no such device or the network no such precision.
    """

    def __init__(
        self,
        source: str | int | None = None,
        api: int = cv2.CAP_ANY,
        *,
        derainer: Derainer | None = None,
        model: str = "d-daiam-rt",
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        gate: GateChoice = None,
    ) -> None:
        self._derainer = derainer or Derainer(
            model, device=device, precision=precision, backend=backend, gate=gate
        )
        self._derainer.reset()
        self._capture: Any = cv2.VideoCapture()
        if source is not None:
            self.open(source, api)

    @property
    def rain_score(self) -> float:
        """How rainy the last frame was, 0..1."""
        return self._derainer.rain_score

    @property
    def reading(self) -> RainReading:
        """The rain of the last frame: score, gate, and shares of the picture."""
        return self._derainer.reading

    def open(self, source: str | int, api: int = cv2.CAP_ANY) -> bool:
        """Open another source; whether that went well.

        Raises:
            DeviceError: The backend cannot run here; the source is closed again.
        """
        self._derainer.reset()
        opened = bool(self._capture.open(source, api))
        width, height, frames = (
            int(self._capture.get(prop))
            for prop in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        if opened and width > 0 and height > 0:
            try:
                self._derainer.prepare((height, width), frames=frames if frames > 0 else None)
            except BaseException:
                self.release()  # a camera that stays open cannot be opened by anyone else
                raise
        return opened

    def isOpened(self) -> bool:
        """Whether there is a source to read from."""
        return bool(self._capture.isOpened())

    def read(self, image: BGR | None = None) -> tuple[bool, BGR | None]:
        """The next frame, derained: ``(True, H×W×3 BGR uint8)``, or ``(False, None)`` at the end.

        Args:
            image: An array of the frame's size to write into, as in OpenCV.
        """
        return self.retrieve(image) if self.grab() else (False, None)

    def grab(self) -> bool:
        """Take the next frame without decoding or deraining it."""
        return bool(self._capture.grab())

    def retrieve(self, image: BGR | None = None, flag: int = 0) -> tuple[bool, BGR | None]:
        """Decode and derain the frame that was grabbed last."""
        done, frame = self._capture.retrieve(flag=flag)
        if not done:
            return False, None
        derained = self._derainer(frame)
        if image is not None and image.shape == derained.shape and image.dtype == derained.dtype:
            image[...] = derained
            return True, image
        return True, derained

    def get(self, prop: int) -> float:
        """A property, by OpenCV's number: ``cv2.CAP_PROP_FPS``, ``..._FRAME_WIDTH`` and so on."""
        return float(self._capture.get(prop))

    def set(self, prop: int, value: float) -> bool:
        """Set a property; whether the source took it. A jump in time begins a new stream."""
        if prop in _SEEKS:
            self._derainer.reset()
        return bool(self._capture.set(prop, value))

    def getBackendName(self) -> str:
        """Name of OpenCV's backend."""
        return str(self._capture.getBackendName())

    def release(self) -> None:
        """Close the source; harmless when repeated."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
