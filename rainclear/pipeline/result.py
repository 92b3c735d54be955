"""What a pipeline makes of one frame, what deraining won and lost in it, and of a whole run."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rainclear.detection.detections import Detections
from rainclear.frame import Frame
from rainclear.runtime.gate import RainReading

__all__ = ["PipelineReport", "Result", "WonAndLost", "won_and_lost"]

_SAME = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class WonAndLost:
    """Which boxes are there only after or only before deraining.

    Attributes:
        won: Mask over the boxes on the derained frame: no box on the rainy one matches.
        lost: Mask over the boxes on the rainy frame: no box on the derained one matches.
    """

    won: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Result:
    """One frame at the end of a pipeline.

    Attributes:
        frame: The derained frame, upright, or the source's where there is no such stage.
        rainy: The frame as it came, upright.
        detections: Objects in ``frame``, :class:`TrackedDetections` where they are followed; none
            without a detector.
        before: Objects in ``rainy``, where a sink compares them.
        reading: The rain of the frame, where it was derained.
    """

    frame: Frame
    rainy: Frame
    detections: Detections
    before: Detections | None = None
    reading: RainReading | None = None

    def won_and_lost(self) -> WonAndLost | None:
        """What deraining changed, where both frames were searched."""
        return None if self.before is None else won_and_lost(self.before, self.detections)


@dataclass(kw_only=True, slots=True)
class PipelineReport:
    """How a run went.

    Attributes:
        frames: Frames that reached the end.
        seconds: Wall time.
        objects: Boxes found in all.
        won: Boxes that only the derained frames show, where both were searched.
        lost: Boxes that only the rainy frames show, where both were searched.
        dry_frames: Frames that the rain gate let pass as they came.
        outputs: Files written.
        notes: One line for each loss or change that a user should know.
    """

    frames: int = 0
    seconds: float = 0.0
    objects: int = 0
    won: int = 0
    lost: int = 0
    dry_frames: int = 0
    outputs: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0


def won_and_lost(before: Detections, after: Detections) -> WonAndLost:
    """Pair boxes of one class that overlap by half or more, each at most once, best pairs first."""
    shared = np.where(
        before.classes[:, None] == after.classes[None], _overlap(before.xyxy, after.xyxy), 0.0
    )
    lost = np.ones(len(before), np.bool_)
    won = np.ones(len(after), np.bool_)
    for place in np.argsort(-shared, axis=None, kind="stable"):
        i, j = divmod(int(place), max(1, len(after)))
        if shared[i, j] < _SAME:
            break
        if lost[i] and won[j]:
            lost[i] = won[j] = False
    return WonAndLost(won=won, lost=lost)


def _overlap(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Intersection over union of all pairs, N×M."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    low = np.maximum(a64[:, None, :2], b64[None, :, :2])
    high = np.minimum(a64[:, None, 2:], b64[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0.0), axis=2)
    areas = [np.prod(np.maximum(x[:, 2:] - x[:, :2], 0.0), axis=1) for x in (a64, b64)]
    return np.asarray(both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-9))
