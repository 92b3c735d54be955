"""Average precision as COCO defines it, over resampled sets of pictures.

Detections are matched to boxes once a picture; from the matches, the average precision of any
multiset of pictures follows by sums. That is what makes a bootstrap over pictures cheap: COCO's own
code would match all over again. On the plain set both agree (a test compares them).

Several rains on one picture are not independent pictures: they show the same objects. They are
matched each for itself and then drawn as one cluster (:meth:`ClassMatches.clustered`). Drawn one by
one, N rains on P pictures would pass for N·P pictures, and the interval would come out too narrow,
in the extreme of N equal rains by √N.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rainclear.detection.detections import Detections
from rainclear.evaluation.labels import GroundTruth

__all__ = [
    "IOU_THRESHOLDS",
    "ClassMatches",
    "average_precision",
    "match",
    "overlap",
    "precision_by_recall",
]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's ten: mAP50-95 is the mean over them, mAP50 the first."""

_RECALLS = np.linspace(0.0, 1.0, 101)
_MAX_DETECTIONS = 100

_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassMatches:
    """The detections of one class over all pictures, by falling score.

    Attributes:
        pictures: D: number of the picture of each detection.
        hits: 10×D: whether it found a box, at each threshold.
        ignored: 10×D: whether it counts neither way.
        boxes: Boxes to find in each picture.
    """

    pictures: npt.NDArray[np.intp]
    hits: _Bools
    ignored: _Bools
    boxes: npt.NDArray[np.int64]

    def clustered(self, size: int) -> "ClassMatches":
        """Each ``size`` pictures that follow one another as one, drawn together from then on.

        Average precision over all pictures stays as it is: detections keep their order, and boxes
        and matches are sums over the pictures of a cluster.
        """
        boxes = self.boxes.reshape(-1, size).sum(1)
        return replace(self, pictures=self.pictures // size, boxes=boxes)


def match(found: Sequence[Detections], truth: Sequence[GroundTruth], number: int) -> ClassMatches:
    """Match the detections of class ``number``, greedily by falling score, as COCO does.

    An ignore region may take any number of detections; of each, the part inside the region counts
    as overlap (COCO's rule for crowds). A box that is to be found goes before a region.

    Args:
        found: Detections of each picture; the 100 best of the class count.
        truth: Labels of the same pictures.
        number: Class number.
    """
    pictures, scores, hits, ignored, boxes = [], [], [], [], []
    for index, (detections, labels) in enumerate(zip(found, truth, strict=True)):
        mine = detections.classes == number
        order = np.argsort(-detections.scores[mine], kind="stable")[:_MAX_DETECTIONS]
        real = labels.xyxy[labels.classes == number]
        region = labels.ignore[np.isin(labels.ignore_classes, (-1, number))]
        hit, skip = _match_picture(detections.xyxy[mine][order], real, region)
        pictures.append(np.full(len(order), index))
        scores.append(detections.scores[mine][order])
        hits.append(hit)
        ignored.append(skip)
        boxes.append(len(real))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return ClassMatches(
        pictures=np.concatenate(pictures)[order],
        hits=np.concatenate(hits, axis=1)[:, order],
        ignored=np.concatenate(ignored, axis=1)[:, order],
        boxes=np.array(boxes, np.int64),
    )


def _match_picture(
    boxes: npt.NDArray[np.float32], real: npt.NDArray[np.float32], region: npt.NDArray[np.float32]
) -> tuple[_Bools, _Bools]:
    shape = (len(IOU_THRESHOLDS), len(boxes))
    hit, skip = np.zeros(shape, bool), np.zeros(shape, bool)
    shared, inside = overlap(boxes, real), overlap(boxes, region, crowd=True)
    best = np.maximum(shared.max(1, initial=0.0), inside.max(1, initial=0.0))
    for t, threshold in enumerate(IOU_THRESHOLDS):
        free = np.ones(len(real), bool)
        for d in np.flatnonzero(best >= threshold):
            scores = np.where(free, shared[d], -1.0)
            if len(real) and scores.max() >= threshold:
                # Of equal overlaps, COCO takes the last.
                free[len(real) - 1 - int(np.argmax(scores[::-1]))] = False
                hit[t, d] = True
            elif len(region) and inside[d].max() >= threshold:
                skip[t, d] = True
    return hit, skip


def overlap(
    boxes: npt.NDArray[np.float32], others: npt.NDArray[np.float32], *, crowd: bool = False
) -> _Floats:
    """N×M intersection over union, or over the area of ``boxes`` for a crowd."""
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = np.prod(size.clip(0), axis=-1)
    area_a = np.prod(a[..., 2:] - a[..., :2], axis=-1)
    area_b = np.prod(b[..., 2:] - b[..., :2], axis=-1)
    whole = area_a if crowd else area_a + area_b - both
    return np.asarray(both / np.maximum(whole, 1e-12), np.float64)


def average_precision(matches: ClassMatches, weights: npt.NDArray[np.float64]) -> _Floats:
    """Average precision at each threshold, for each multiset of pictures.

    Args:
        matches: Of one class.
        weights: B×P: how often each of P pictures is in each of B multisets.

    Returns:
        B×10; NaN where a multiset has no box of the class.
    """
    total = weights @ matches.boxes
    result = np.full((len(weights), len(IOU_THRESHOLDS)), np.nan)
    for t in range(len(IOU_THRESHOLDS)):
        found, envelope = _envelope(matches, t, weights)
        for b in np.flatnonzero(total):
            at = np.searchsorted(found[b] / total[b], _RECALLS, side="left")
            result[b, t] = envelope[b, at[at < found.shape[1]]].sum() / len(_RECALLS)
    return result


def precision_by_recall(matches: ClassMatches) -> _Floats:
    """Precision of one class at COCO's 101 recalls 0..1, at overlap 0.5 and over all pictures.

    It is the best one at this recall or above, and 0 where so many boxes are not found. Its mean
    is the average precision at overlap 0.5.

    Returns:
        101; NaN where there is no box of the class.
    """
    total = int(matches.boxes.sum())
    if total == 0:
        return np.full(len(_RECALLS), np.nan)
    found, envelope = _envelope(matches, 0, np.ones((1, len(matches.boxes))))
    at = np.searchsorted(found[0] / total, _RECALLS, side="left")
    reached = at < found.shape[1]
    result = np.zeros(len(_RECALLS))
    result[reached] = envelope[0, at[reached]]
    return result


def _envelope(
    matches: ClassMatches, t: int, weights: npt.NDArray[np.float64]
) -> tuple[_Floats, _Floats]:
    """B×H each: boxes found up to each hit, and the best precision there or later."""
    hits, counted = _running(matches, t, weights.shape[1])
    found = weights @ hits
    precision = found / np.maximum(weights @ counted, 1e-12)
    return found, np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]


def _running(matches: ClassMatches, t: int, pictures: int) -> tuple[_Floats, _Floats]:
    """P×H each: hits, and detections that count, of each picture up to each of the H hits.

    Precision has its peaks at hits and recall rises there alone, so no more has to be known; sums
    over any multiset of pictures are a matrix product.
    """
    where = np.flatnonzero(~matches.ignored[t])
    hit = matches.hits[t, where]
    places = np.flatnonzero(hit)
    slot = np.searchsorted(places, np.arange(len(where)), side="left")
    within = slot < len(places)  # what comes after the last hit changes nothing
    counted = np.zeros((pictures, len(places)))
    np.add.at(counted, (matches.pictures[where[within]], slot[within]), 1.0)
    hits = np.zeros_like(counted)
    hits[matches.pictures[where[places]], np.arange(len(places))] = 1.0
    return hits.cumsum(axis=1), counted.cumsum(axis=1)
