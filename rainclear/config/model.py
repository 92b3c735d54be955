"""``models/<name>/model.yaml``: network, weights, rain gate and recipe."""

from typing import Any, Self

from pydantic import Field, model_validator

from rainclear.config.recipe import TrainingRecipe
from rainclear.config.settings import Settings

__all__ = ["ArchitectureSpec", "BranchWeights", "GateSpec", "ModelSpec", "WeightsSpec"]


class ArchitectureSpec(Settings):
    """Which network, by its name in the registry, and the options of its constructor."""

    network: str
    options: dict[str, Any] = Field(default_factory=dict)


class WeightsSpec(Settings):
    """The weight file beside ``model.yaml``, its checksum and the licence it may be used under.

    ``licence`` is ``None`` where nobody chose one, as after a training of one's own.
    """

    file: str = "model.safetensors"
    sha256: str
    licence: str | None = None


class BranchWeights(Settings):
    """What each statistic of one rain type's S⁺ adds to the logit of the rain score.

    No weight is negative: more attention never lowers the score. Statistics are measured over the
    whole picture and enter as log₁₀(x + 3·10⁻⁴); see :mod:`rainclear.runtime.gate`.

    Attributes:
        mean: Of the mean.
        everywhere: Of the lower quartile of the means of 6×10 cells; scenery is textured in some
            of them, rain falls in all.
        q50: Of the median.
        q90: Of the quantile 0.9.
        q99: Of the quantile 0.99.
    """

    mean: float = Field(0.0, ge=0)
    everywhere: float = Field(0.0, ge=0)
    q50: float = Field(0.0, ge=0)
    q90: float = Field(0.0, ge=0)
    q99: float = Field(0.0, ge=0)


class GateSpec(Settings):
    """The rain gate of a model, as ``rainclear calibrate`` writes it.

    Attributes:
        weights_sha256: Checksum of the weights it was calibrated with; it fits no others.
        bias: Logit of the score of a picture whose statistics add nothing.
        fresh: Added to the logit where a network that carries a state has none: on the first frame
            of a stream and after a cut it pays more attention, rain or no rain.
        streaks: Weights of the statistics of the streaks' S⁺.
        drops: Weights of the statistics of the drops' S⁺.
        on: Score from which a closed gate opens.
        off: Score below which an open gate may close.
        hold: Frames in a row that the score must stay below ``off`` before an open gate closes.
    """

    weights_sha256: str
    bias: float
    fresh: float = 0.0
    streaks: BranchWeights = BranchWeights()
    drops: BranchWeights = BranchWeights()
    on: float = Field(0.5, gt=0, lt=1)
    off: float = Field(0.35, gt=0, lt=1)
    hold: int = Field(12, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.off > self.on:
            raise ValueError(f"off ({self.off:g}) must not be above on ({self.on:g})")
        return self


class ModelSpec(Settings):
    """``models/<name>/model.yaml``: a network, its weights, their rain gate, and the training."""

    name: str
    summary: str
    architecture: ArchitectureSpec
    weights: WeightsSpec | None = None
    gate: GateSpec | None = None
    training: TrainingRecipe | None = None
