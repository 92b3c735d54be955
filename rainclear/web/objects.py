"""What a detector finds in a frame before and after deraining, drawn on both."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.detection.coco import COCO_NAMES
from rainclear.detection.detections import Detections, Detector
from rainclear.frame import Frame
from rainclear.pipeline.draw import LOST, WON
from rainclear.pipeline.result import won_and_lost
from rainclear.video.lettering import draw_text

__all__ = ["Objects", "find_objects"]

_BOTH = (255, 255, 255)


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """How many boxes there are in a frame.

    Attributes:
        before: Boxes before deraining.
        after: Boxes after it.
        won: Boxes that are there only after it.
        lost: Boxes that were there only before it.
    """

    before: int
    after: int
    won: int
    lost: int


def find_objects(before: Frame, after: Frame, detector: Detector) -> tuple[Frame, Frame, Objects]:
    """Search both frames; returns copies with boxes: won green, lost red, others white."""
    pictures = [before.eight_bit().copy(), after.eight_bit().copy()]
    found = detector(pictures)
    change = won_and_lost(*found)
    for picture, boxes, odd, colour in zip(
        pictures, found, (change.lost, change.won), (LOST, WON), strict=True
    ):
        _draw(picture, boxes, odd, colour)
    counts = Objects(
        before=len(found[0]),
        after=len(found[1]),
        won=int(change.won.sum()),
        lost=int(change.lost.sum()),
    )
    return replace(before, pixels=pictures[0]), replace(after, pixels=pictures[1]), counts


def _draw(
    canvas: npt.NDArray[np.uint8],
    found: Detections,
    odd: npt.NDArray[np.bool_],
    colour: tuple[int, int, int],
) -> None:
    scale = max(0.36, canvas.shape[1] / 2400)
    thick = max(1, round(canvas.shape[1] / 640))
    for i in np.argsort(odd, kind="stable"):  # the coloured ones last, on top
        left, top, right, bottom = (round(float(v)) for v in found.xyxy[i])
        ink = colour if odd[i] else _BOTH
        text = f"{COCO_NAMES[found.classes[i]]} {found.scores[i]:.2f}"
        cv2.rectangle(canvas, (left, top), (right, bottom), ink, thick, cv2.LINE_AA)
        draw_text(canvas, text, (left, top - 3), ink, scale=scale)
