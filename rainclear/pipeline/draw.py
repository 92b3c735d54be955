"""Boxes on frames. A few lines of OpenCV: a drawing library would bring a plotting one along."""

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.detection.coco import COCO_NAMES
from rainclear.detection.detections import Detections
from rainclear.pipeline.result import Result
from rainclear.pipeline.track import TrackedDetections
from rainclear.video.lettering import draw_text

__all__ = ["LOST", "WON", "annotate", "side_by_side"]

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]

WON: Colour = (50, 205, 90)
"""RGB colour of a box that deraining won."""
LOST: Colour = (240, 50, 50)
"""RGB colour of a box that deraining lost."""
_KEPT: Colour = (235, 235, 235)
# Colours that can be told apart, none near the two above.
_PALETTE: tuple[Colour, ...] = (
    (255, 178, 29), (72, 149, 239), (204, 96, 220), (0, 204, 204), (255, 112, 67),
    (146, 120, 255), (214, 220, 60), (255, 120, 180), (120, 190, 255), (190, 150, 110),
)  # fmt: skip


def annotate(result: Result, *, boxes: bool = True) -> Pixels:
    """The frame with its boxes, H×W×3 uint8 RGB; a colour for each track, or for each class."""
    canvas = result.frame.eight_bit().copy()
    if boxes:
        found = result.detections
        keys = found.ids if isinstance(found, TrackedDetections) else found.classes
        _draw(canvas, found, [_PALETTE[int(key) % len(_PALETTE)] for key in keys])
    return canvas


def side_by_side(result: Result, *, boxes: bool = True) -> Pixels:
    """Rainy | derained, H×2W×3 uint8 RGB: won boxes green, lost ones red, the others white."""
    left, right = result.rainy.eight_bit().copy(), result.frame.eight_bit().copy()
    change = result.won_and_lost()
    if boxes and change is not None and result.before is not None:
        _draw(left, result.before, [LOST if lost else _KEPT for lost in change.lost])
        _draw(right, result.detections, [WON if won else _KEPT for won in change.won])
        _caption(left, f"rainy: {len(result.before)}, {int(change.lost.sum())} lost")
        _caption(right, f"derained: {len(result.detections)}, {int(change.won.sum())} won")
    return np.concatenate([left, right], axis=1)


def _draw(canvas: Pixels, found: Detections, colours: list[Colour]) -> None:
    ids = found.ids if isinstance(found, TrackedDetections) else [-1] * len(found)
    thick = max(1, round(canvas.shape[1] / 640))
    # Coloured boxes last, so that no white one hides them.
    for i in sorted(range(len(found)), key=lambda i: colours[i] != _KEPT):
        left, top, right, bottom = (round(float(v)) for v in found.xyxy[i])
        cv2.rectangle(canvas, (left, top), (right, bottom), colours[i], thick, cv2.LINE_AA)
        number = f" #{ids[i]}" if ids[i] >= 0 else ""
        text = f"{COCO_NAMES[found.classes[i]]}{number} {found.scores[i]:.2f}"
        _text(canvas, text, (left, top - 3), colours[i])


def _caption(canvas: Pixels, text: str) -> None:
    _text(canvas, text, (4, 0), _KEPT)


def _text(canvas: Pixels, text: str, at: tuple[int, int], colour: Colour) -> None:
    draw_text(canvas, text, at, colour, scale=max(0.36, canvas.shape[1] / 2400))
