"""What a detector finds in clean, rainy and derained pictures: the score that deraining is for."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rainclear.detection.detections import Detections, Detector
from rainclear.evaluation.average_precision import average_precision, match, precision_by_recall
from rainclear.evaluation.classes import Classes
from rainclear.evaluation.coco_map import torchmetrics_map
from rainclear.evaluation.detection_scores import DetectionEvaluation, ModelGain, Score
from rainclear.evaluation.detection_set import DetectionSet
from rainclear.evaluation.labels import GroundTruth
from rainclear.runtime.derainer import Derainer

__all__ = ["evaluate_detection"]

_SMALL = 1e-6
_DRY = "dry:"


def evaluate_detection(
    pictures: DetectionSet,
    detector: Detector,
    derainers: Mapping[str, Derainer | None],
    *,
    merges: dict[str, tuple[str, ...]] | None = None,
    only: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
    on_picture: Callable[[int], None] | None = None,
) -> DetectionEvaluation:
    """Detect in every picture as it is, derained, and clean; each picture stands for itself.

    Where several rains fall on each of P pictures, mAP of rainy and derained pictures is that of
    all of them, and clean pictures are measured once. Intervals are a paired bootstrap over the P
    pictures, each drawn with all its rains: rains on one picture show the same objects, so they
    are no independent sample. More rains take out the luck of the rain; what depends on the
    pictures stays in the interval, however many there are.

    Args:
        pictures: What to measure on.
        detector: Should keep boxes of low scores too (0.001), as average precision needs them.
        derainers: Models by name; ``None`` changes nothing (the control).
        merges: Classes to count as one, by the name of the merged class.
        only: Measure these classes alone.
        resamples: Sets of pictures drawn for the intervals.
        seed: Seed of that drawing.
        on_picture: Called with the number of pictures done.

    Raises:
        InputError: A picture or label cannot be read.
        ConfigError: The labels have no such class.
    """
    raw, truth, derained = _detect(pictures, detector, derainers, on_picture)
    classes = Classes.of(truth, merges=merges, only=only)
    truth = [classes.of_truth(labels) for labels in truth]
    found = {kind: [classes.of_detections(d) for d in raw[kind]] for kind in raw}
    rng = np.random.default_rng(seed)
    n = len(pictures)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), np.eye(n), drawn])
    tables, scores = {}, {}
    for kind, detections in found.items():
        # Of clean pictures, no interval is shown.
        sets = weights if _varies(kind) else weights[:1]
        tables[kind], curves = _precisions(detections, truth, classes, sets)
        scores[kind] = _score(detections, truth, classes, tables[kind], curves)
    models = {}
    for name in derainers:
        dry = _dry(name)
        change = scores[name].map50_95 - scores["rainy"].map50_95
        clean, wet = scores.get("clean"), scores["rainy"]
        lost = clean.map50_95 - wet.map50_95 if clean else 0.0
        difference = _mean(tables[name], (0, 2)) - _mean(tables["rainy"], (0, 2))
        models[name] = ModelGain(
            score=scores[name],
            gain=change,
            gain_ci95=_interval(difference[1 + n :]),
            recovered=change / lost if lost > _SMALL else None,
            dry_regression=scores[dry].map50_95 - clean.map50_95 if clean else None,
            per_class={
                label: _class_gain(tables[name][k], tables["rainy"][k], n)
                for k, label in enumerate(classes.names)
            },
            picture_gain=tuple(difference[1 : 1 + n].tolist()),
            derained=derained[name],
            derained_dry=derained[dry] if clean else None,
        )
    return DetectionEvaluation(
        pictures=pictures,
        classes=classes,
        clean=scores.get("clean"),
        rainy=scores["rainy"],
        models=models,
        truth=truth,
        found={
            kind: found[kind][:: len(found[kind]) // n]
            for kind in found
            if not kind.startswith(_DRY)
        },
    )


def _dry(name: str) -> str:
    return f"{_DRY}{name}"


def _varies(kind: str) -> bool:
    return kind != "clean" and not kind.startswith(_DRY)


def _detect(
    pictures: DetectionSet,
    detector: Detector,
    derainers: Mapping[str, Derainer | None],
    on_picture: Callable[[int], None] | None,
) -> tuple[dict[str, list[Detections]], list[GroundTruth], Counter[str]]:
    """What is found, what there is, and how many pictures were derained.

    Returns:
        Detections by kind, one after another by picture and then by rain; labels by picture; and
        by kind the pictures that the rain gate did not let pass as they were.
    """
    found: dict[str, list[Detections]] = {}
    truth = []
    opened: Counter[str] = Counter()
    for index in range(len(pictures)):
        for draw in range(pictures.draws):
            rainy, clean = pictures.read(index, draw)
            if draw == 0:
                truth.append(pictures.truth(index, rainy.shape))
            else:
                clean = None  # it is the same under every rain
            plain = {"rainy": rainy} if clean is None else {"clean": clean, "rainy": rainy}
            for kind, picture in plain.items():
                found.setdefault(kind, []).extend(detector([picture]))
            for name, derainer in derainers.items():
                for kind in plain:
                    key = name if kind == "rainy" else _dry(name)
                    if derainer is None:
                        result = found[kind][-1]
                    else:
                        derainer.reset()
                        derained = np.asarray(derainer.process(plain[kind]), np.uint8)
                        opened[key] += derainer.reading.open
                        (result,) = detector([derained])
                    found.setdefault(key, []).append(result)
        if on_picture is not None:
            on_picture(index + 1)
    return found, truth, opened


def _each(truth: list[GroundTruth], found: list[Detections]) -> list[GroundTruth]:
    """The labels of each of ``found``: all rains on a picture have those of the picture."""
    return [labels for labels in truth for _ in range(len(found) // len(truth))]


def _precisions(
    found: list[Detections],
    truth: list[GroundTruth],
    classes: Classes,
    weights: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """K×B×10: class, set of pictures, overlap; and K×101: precision of all pictures by recall.

    ``weights`` are of pictures with all their rains.
    """
    draws = len(found) // len(truth)
    labels = _each(truth, found)
    table, curves = [], []
    for k in range(len(classes.names)):
        matches = match(found, labels, k).clustered(draws)
        table.append(average_precision(matches, weights))
        curves.append(precision_by_recall(matches))
    return np.stack(table), np.stack(curves)


def _mean(table: npt.NDArray[np.float64], axis: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Mean over classes that a set has boxes of; NaN where it has none."""
    known = ~np.isnan(table)
    total = np.where(known, table, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _class_gain(
    derained: npt.NDArray[np.float64], rainy: npt.NDArray[np.float64], n: int
) -> dict[str, Any]:
    difference = (derained - rainy).mean(1)
    return {"gain": float(difference[0]), "gain_ci95": list(_interval(difference[1 + n :]))}


def _score(
    found: list[Detections],
    truth: list[GroundTruth],
    classes: Classes,
    table: npt.NDArray[np.float64],
    curves: npt.NDArray[np.float64],
) -> Score:
    numbers = list(range(len(classes.names)))
    summary = torchmetrics_map(found, _each(truth, found), numbers)
    boxes = np.bincount(np.concatenate([t.classes for t in truth]), minlength=len(numbers))
    return Score(
        map50_95=summary["map"],
        map50=summary["map_50"],
        per_class={
            name: {
                "map50_95": summary["map_per_class"][k],
                "map50": float(table[k, 0, 0]),
                "boxes": int(boxes[k]),
            }
            for k, name in enumerate(classes.names)
        },
        by_overlap=tuple(_mean(table[:, 0], (0,)).tolist()),
        by_recall=tuple(_mean(curves, (0,)).tolist()),
    )
