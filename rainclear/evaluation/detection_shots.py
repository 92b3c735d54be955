"""The pictures where a detector wins or loses most by deraining, with its boxes drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from rainclear.detection.detections import Detections, Pixels
from rainclear.evaluation.average_precision import overlap
from rainclear.evaluation.detection_scores import DetectionEvaluation
from rainclear.evaluation.labels import GroundTruth
from rainclear.runtime.derainer import Derainer
from rainclear.video.lettering import draw_text

__all__ = ["SHOWN_SCORE", "DetectionShot", "best_and_worst", "draw"]

SHOWN_SCORE = 0.25
"""Boxes of a lower score are not drawn."""

_HIT, _FALSE, _MISSED, _IGNORED = (60, 200, 110), (235, 70, 70), (250, 200, 40), (150, 150, 150)
_WIDTH, _QUALITY = 900, 84


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionShot:
    """A picture that is shown.

    Attributes:
        name: Its file name.
        gain: Its mAP50-95 alone, derained minus rainy, over all rains on it.
        jpegs: JPEG files by what they show, in order, under the first rain.
    """

    name: str
    gain: float
    jpegs: dict[str, bytes]


def best_and_worst(
    result: DetectionEvaluation, model: str, derainer: Derainer, *, size: int
) -> tuple[list[DetectionShot], list[DetectionShot]]:
    """The pictures with the largest gains and with the largest losses by ``model``.

    Args:
        result: What came out.
        model: Name of the model.
        derainer: The model itself: pictures were not kept, and are derained again.
        size: Pictures of each kind.
    """
    gains = result.models[model].picture_gain
    order = [int(i) for i in np.argsort(gains) if np.isfinite(gains[i])]
    best = [i for i in reversed(order) if gains[i] > 0][:size]
    worst = [i for i in order if gains[i] < 0][:size]

    def shots(indices: list[int]) -> list[DetectionShot]:
        return [_shot(result, model, derainer, index, gains[index]) for index in indices]

    return shots(best), shots(worst)


def _shot(
    result: DetectionEvaluation, model: str, derainer: Derainer, index: int, gain: float
) -> DetectionShot:
    rainy, clean = result.pictures.read(index)
    derainer.reset()
    pictures = {"rainy": rainy, model: np.asarray(derainer.process(rainy), np.uint8)}
    if clean is not None:
        pictures["clean"] = clean
    drawn: Mapping[str, Pixels] = {
        kind: draw(picture, result.found[kind][index], result.truth[index], result.classes.names)
        for kind, picture in pictures.items()
    }
    return DetectionShot(
        name=result.pictures.files[index].name,
        gain=gain,
        jpegs={kind: _jpeg(picture) for kind, picture in drawn.items()},
    )


def draw(picture: Pixels, found: Detections, truth: GroundTruth, names: tuple[str, ...]) -> Pixels:
    """Boxes on a copy: green found (overlap 0.5), red false, yellow missed, grey to ignore."""
    canvas = picture.copy()
    shown = found.select(found.scores >= SHOWN_SCORE)
    same = shown.classes[:, None] == truth.classes[None]
    shared = np.where(same, overlap(shown.xyxy, truth.xyxy), 0.0)
    taken: set[int] = set()
    hits: dict[int, bool] = {}
    for d in np.argsort(-shown.scores, kind="stable"):
        free = [t for t in range(len(truth.classes)) if t not in taken and shared[d, t] >= 0.5]
        if free:
            taken.add(max(free, key=lambda t: shared[d, t]))
        hits[int(d)] = bool(free)
    for region in truth.ignore:
        _box(canvas, region, _IGNORED, "")
    for t, box in enumerate(truth.xyxy):
        if t not in taken:
            _box(canvas, box, _MISSED, f"{names[truth.classes[t]]} missed")
    inside = overlap(shown.xyxy, truth.ignore, crowd=True).max(1, initial=0.0) >= 0.5
    for d, hit in hits.items():
        text = f"{names[shown.classes[d]]} {shown.scores[d]:.2f}"
        colour = _HIT if hit else _IGNORED if inside[d] else _FALSE
        _box(canvas, shown.xyxy[d], colour, text)
    return canvas


def _box(canvas: Pixels, box: np.ndarray, colour: tuple[int, int, int], text: str) -> None:
    left, top, right, bottom = (round(float(v)) for v in box)
    thick = max(1, round(canvas.shape[1] / 640))
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, thick, cv2.LINE_AA)
    if text:
        scale = 0.36 * max(1.0, canvas.shape[1] / 900)
        draw_text(canvas, text, (left, top - 3), colour, scale=scale)


def _jpeg(picture: Pixels) -> bytes:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data.tobytes())
