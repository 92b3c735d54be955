"""What the page's buttons do, without the page."""

from pathlib import Path
from typing import Any

from rainclear.detection.detections import Detector
from rainclear.errors import ConfigError, RainclearError
from rainclear.rain.presets import PRESETS
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.load import takes_single
from rainclear.web.job import Limits, Result, run
from rainclear.web.sample import write_sample
from rainclear.zoo import list_models

__all__ = ["AS_IT_IS", "RAINS", "Studio", "models"]

AS_IT_IS = "none: the file is rainy already"
RAINS = (AS_IT_IS, *(name for name, rain in PRESETS.items() if rain.rate is not None))


def models() -> list[str]:
    """Names of the models with weights that take one picture at a time."""
    return [
        m.spec.name for m in list_models() if m.weights_path and takes_single(m.spec.architecture)
    ]


class Studio:
    """What the page's buttons do, without the page.

    Args:
        folder: Where runs leave their files.
        limits: What one run may cost.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        detector: Searches the frames that are shown, where that is asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limits: Limits,
        device: str = "auto",
        detector: Detector | None = None,
    ) -> None:
        self._folder, self._limits, self._device = folder, limits, device
        self._detector = detector
        self._derainers: dict[str, Derainer] = {}

    @property
    def detects(self) -> bool:
        """Whether there is a detector."""
        return self._detector is not None

    def sample(self) -> Path:
        """A short clean clip to rain on."""
        return write_sample(self._folder / "sample.mp4")

    def derain(
        self,
        file: str | None,
        model: str,
        rain: str,
        *,
        detect: bool = False,
        progress: Any = lambda share, **words: None,
    ) -> Result:
        """Run one file; one run at a time.

        Args:
            file: Path of the uploaded file.
            model: One of :func:`models`; other names and paths are refused.
            rain: One of :data:`RAINS`.
            detect: Search the frames that are shown, if there is a detector.
            progress: Called with the share done, 0..1, and ``desc``.

        Raises:
            RainclearError: Nothing was dropped, a choice is none of those offered, or the file
                cannot be used. The message does not tell where the file lies.
        """
        if not file:
            raise ConfigError("drop a video or a picture first")
        if model not in models() or rain not in RAINS:
            raise ConfigError("choose one of the models and rains that the page offers")
        source = Path(file)
        if model not in self._derainers:
            self._derainers[model] = Derainer(model, device=self._device)

        def on_frame(done: int, total: int | None) -> None:
            progress(min(1.0, done / (total or done)), desc=f"{done} frames")

        try:
            return run(
                source,
                self._folder,
                derainer=self._derainers[model],
                rain=None if rain == AS_IT_IS else rain,
                detector=self._detector if detect else None,
                limits=self._limits,
                on_frame=on_frame,
            )
        except RainclearError as error:
            raise type(error)(str(error).replace(str(source), source.name)) from error
