"""What a training run tells after every step."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Picture", "Progress"]

Picture = npt.NDArray[np.uint8]
"""RGB, H×W×3."""


@dataclass(kw_only=True, slots=True)
class Progress:
    """What a step reports.

    Attributes:
        step: Steps done.
        steps: Steps of the whole run.
        losses: Weighted losses by name, running means.
        seconds_per_step: Running mean.
        waiting: Of these, seconds spent waiting for data.
        validation: Scores of the last validation; a new object after each.
        best: Best ``score`` of any validation.
        now: The losses of this step alone.
        lr: Learning rate of this step.
        pictures: What the network makes of a held-out clip, by caption, at the last validation.
        saved: Whether a checkpoint is written at this step, right after this report.
    """

    step: int
    steps: int
    losses: dict[str, float]
    seconds_per_step: float
    waiting: float
    validation: dict[str, float] = field(default_factory=dict)
    best: float = -math.inf
    now: dict[str, float] = field(default_factory=dict)
    lr: float = math.nan
    pictures: dict[str, Picture] = field(default_factory=dict)
    saved: bool = False

    @property
    def seconds_left(self) -> float:
        """Until the last step, at this speed."""
        return (self.steps - self.step) * self.seconds_per_step

    @property
    def waiting_share(self) -> float:
        """Part of the time that is spent waiting for data, 0 to 1."""
        return min(1.0, self.waiting / self.seconds_per_step) if self.seconds_per_step else 0.0
