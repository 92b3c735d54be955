"""What the page's button does, without the page."""

from pathlib import Path
from typing import Any

from rainclear.errors import ConfigError, RainclearError
from rainclear.rain.presets import PRESETS
from rainclear.runtime.derainer import Derainer
from rainclear.web.job import Limits, Result, run
from rainclear.zoo import list_models

__all__ = ["AS_IT_IS", "RAINS", "Studio", "models", "summary"]

AS_IT_IS = "none: the file is rainy already"
RAINS = (AS_IT_IS, *(name for name, rain in PRESETS.items() if rain.rate is not None))
_DUAL = "dprrn"


def models() -> list[str]:
    """Names of the models with weights that take one picture at a time."""
    return [m.spec.name for m in list_models() if m.weights_path and m.spec.name != _DUAL]


class Studio:
    """What the page's buttons do, without the page.

    Args:
        folder: Where runs leave their files.
        limits: What one run may cost.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    def __init__(self, folder: Path, *, limits: Limits, device: str = "auto") -> None:
        self._folder, self._limits, self._device = folder, limits, device
        self._derainers: dict[str, Derainer] = {}

    def derain(
        self, file: str | None, model: str, rain: str, progress: Any = lambda share, **words: None
    ) -> Result:
        """Run one file; one run at a time.

        Args:
            file: Path of the uploaded file.
            model: One of :func:`models`; other names and paths are refused.
            rain: One of :data:`RAINS`.
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
                limits=self._limits,
                on_frame=on_frame,
            )
        except RainclearError as error:
            raise type(error)(str(error).replace(str(source), source.name)) from error


def summary(result: Result) -> str:
    """What the page says below the pictures, in Markdown."""
    mean = sum(score for _, score in result.scores) / max(1, len(result.scores))
    frames = f"**{len(result.scores)}** frame{'s' * (len(result.scores) != 1)}"
    lines = [f"{frames}, mean rain score **{mean:.2f}**"]
    if result.psnr is not None:
        rainy, derained = result.psnr
        lines.append(
            f"against the clean original: {rainy:.2f} dB rainy, **{derained:.2f} dB** derained "
            f"({derained - rainy:+.2f} dB)"
        )
    return "  \n".join([*lines, *(f"*{note}*" for note in result.notes)])
