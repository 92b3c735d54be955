"""What a detector returns, and what a detector is."""

from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Detections", "Detector", "Pixels"]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detections:
    """The objects found in one picture.

    Attributes:
        xyxy: N×4 float32, left, top, right, bottom in pixels of the picture that was given.
        scores: N float32 in 0..1.
        classes: N int64, COCO class numbers 0..79 (:data:`rainclear.detection.COCO_NAMES`).

    Raises:
        ValueError: The three do not describe the same number of boxes.
    """

    xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.xyxy.shape != (n, 4) or self.scores.shape != (n,) or self.classes.shape != (n,):
            raise ValueError(
                f"boxes {self.xyxy.shape}, scores {self.scores.shape} and classes "
                f"{self.classes.shape} must be N×4, N and N"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def of(cls, xyxy: Any, scores: Any, classes: Any) -> Self:
        """From anything that numpy takes, converted to the types above."""
        return cls(
            xyxy=np.asarray(xyxy, np.float32).reshape(-1, 4),
            scores=np.asarray(scores, np.float32).reshape(-1),
            classes=np.asarray(classes, np.int64).reshape(-1),
        )

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Detections":
        """The boxes that a mask or an index array picks."""
        return Detections(
            xyxy=self.xyxy[which], scores=self.scores[which], classes=self.classes[which]
        )

    def renumbered(self, numbers: dict[int, int]) -> "Detections":
        """With class numbers replaced as ``numbers`` says; boxes of other classes are dropped."""
        kept = self.select(np.isin(self.classes, list(numbers)))
        classes = np.array([numbers[int(c)] for c in kept.classes], np.int64)
        return Detections(xyxy=kept.xyxy, scores=kept.scores, classes=classes)


@runtime_checkable
class Detector(Protocol):
    """Finds objects in pictures; each picture stands for itself.

    Called with H×W×3 uint8 RGB pictures, of any sizes, it returns one :class:`Detections` for each.
    """

    def __call__(self, frames: list[Pixels]) -> list[Detections]:
        """Detect in every picture of ``frames``."""
        ...
