"""Follows objects from frame to frame: ByteTrack of the package ``trackers`` (Apache-2.0)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rainclear.detection.detections import Detections
from rainclear.errors import ModelError
from rainclear.pipeline.spec import TrackSpec

__all__ = ["TrackedDetections", "Tracker"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrackedDetections(Detections):
    """Objects with numbers that stay theirs from frame to frame.

    Attributes:
        ids: N int64, from 1; -1 for a box that belongs to no track (yet).
    """

    ids: npt.NDArray[np.int64]

    def select(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "TrackedDetections":
        """The boxes that a mask or an index array picks."""
        return TrackedDetections(
            xyxy=self.xyxy[which],
            scores=self.scores[which],
            classes=self.classes[which],
            ids=self.ids[which],
        )


class Tracker:
    """ByteTrack over the frames of one stream; all boxes are kept, in the detector's order.

    Args:
        spec: Its settings.
        rate: Frames a second.

    Raises:
        ModelError: The package ``trackers`` is not installed.
    """

    def __init__(self, spec: TrackSpec, *, rate: float) -> None:
        try:
            import supervision
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise ModelError(
                "tracking needs the package trackers: pip install 'rainclear[detect]'"
            ) from error
        self._boxes: Any = supervision.Detections
        self._tracker: Any = ByteTrackTracker(
            lost_track_buffer=spec.keep,
            frame_rate=rate,
            track_activation_threshold=spec.activation,
            minimum_consecutive_frames=spec.min_frames,
            minimum_iou_threshold=spec.min_iou,
            high_conf_det_threshold=spec.strong,
        )
        self._numbers: dict[int, int] = {}

    def __call__(self, found: Detections) -> TrackedDetections:
        """Number the objects of the next frame."""
        boxes = self._boxes(
            xyxy=found.xyxy.copy(),
            confidence=found.scores.copy(),
            class_id=found.classes.copy(),
            data={"order": np.arange(len(found))},
        )
        tracked = self._tracker.update(boxes)
        ids = np.full(len(found), -1, np.int64)
        for place, number in zip(tracked.data.get("order", ()), tracked.tracker_id, strict=True):
            if number >= 0:
                ids[int(place)] = self._numbers.setdefault(int(number), len(self._numbers) + 1)
        return TrackedDetections(
            xyxy=found.xyxy, scores=found.scores, classes=found.classes, ids=ids
        )
