"""Object detectors behind one protocol, and deraining in front of them.

The adapters load what they need when they are first used: nothing here imports ultralytics (AGPL),
torchvision or ONNX Runtime until a detector of that kind is asked for.

Example:
    >>> detector = load_detector("yolo11n.pt")
    >>> detections = detector([rainclear.Derainer().process(rgb)])[0]
"""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "COCO_NAMES",
    "DerainPredictor",
    "DerainValidator",
    "Detections",
    "Detector",
    "load_detector",
    "load_yolo",
]

_HOMES = {
    "COCO_NAMES": "rainclear.detection.coco",
    "DerainPredictor": "rainclear.detection.predictor",
    "DerainValidator": "rainclear.detection.validator",
    "Detections": "rainclear.detection.detections",
    "Detector": "rainclear.detection.detections",
    "load_detector": "rainclear.detection.load",
    "load_yolo": "rainclear.detection.yolo",
}

if TYPE_CHECKING:
    from rainclear.detection.coco import COCO_NAMES
    from rainclear.detection.detections import Detections, Detector
    from rainclear.detection.load import load_detector
    from rainclear.detection.predictor import DerainPredictor
    from rainclear.detection.validator import DerainValidator
    from rainclear.detection.yolo import load_yolo


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rainclear.detection' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
