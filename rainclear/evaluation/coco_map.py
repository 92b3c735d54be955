"""COCO's mean average precision, by torchmetrics."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rainclear.detection.detections import Detections
from rainclear.errors import ModelError
from rainclear.evaluation.labels import GroundTruth

__all__ = ["torchmetrics_map"]


def torchmetrics_map(
    found: Sequence[Detections], truth: Sequence[GroundTruth], numbers: Sequence[int]
) -> dict[str, Any]:
    """COCO's mAP by torchmetrics with faster-coco-eval, over the classes ``numbers``.

    Returns:
        ``map``, ``map_50`` and ``map_per_class``, a list in the order of ``numbers``.

    Raises:
        ModelError: One of the two packages is not installed.
    """
    try:
        import torch
        from torchmetrics.detection import MeanAveragePrecision

        metric = MeanAveragePrecision(backend="faster_coco_eval", class_metrics=True)
    except ImportError as error:
        raise ModelError(
            f"mAP needs torchmetrics and faster-coco-eval ({error}): "
            "pip install 'rainclear[detect]'"
        ) from error
    metric.warn_on_many_detections = False
    for detections, labels in zip(found, truth, strict=True):
        mine = detections.select(np.isin(detections.classes, list(numbers)))
        # A region for all classes is a crowd of each.
        pairs = [
            (box, k)
            for box, c in zip(labels.ignore, labels.ignore_classes, strict=True)
            for k in (numbers if c < 0 else (int(c),))
        ]
        regions = np.array([box for box, _ in pairs], np.float32).reshape(-1, 4)
        classes = np.concatenate([labels.classes, np.array([k for _, k in pairs], np.int64)])
        crowd = np.arange(len(classes)) >= len(labels.classes)
        metric.update(
            [
                {
                    "boxes": torch.from_numpy(mine.xyxy),
                    "scores": torch.from_numpy(mine.scores),
                    "labels": torch.from_numpy(mine.classes),
                }
            ],
            [
                {
                    "boxes": torch.from_numpy(np.concatenate([labels.xyxy, regions])),
                    "labels": torch.from_numpy(classes),
                    "iscrowd": torch.from_numpy(crowd.astype(np.int64)),
                }
            ],
        )
    out = metric.compute()
    per_class = dict(
        zip(
            out["classes"].reshape(-1).tolist(),
            out["map_per_class"].reshape(-1).tolist(),
            strict=True,
        )
    )
    return {
        "map": float(out["map"]),
        "map_50": float(out["map_50"]),
        "map_per_class": [per_class.get(k, float("nan")) for k in numbers],
    }
