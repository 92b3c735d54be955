"""The 80 classes of COCO, numbered 0..79 as YOLO labels are, and names that mean one of them."""

from collections.abc import Mapping, Sequence

__all__ = ["COCO_IDS_91", "COCO_NAMES", "class_id", "map_names"]

# fmt: off
COCO_NAMES: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote",
    "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on

_UNUSED_91 = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})

COCO_IDS_91: dict[int, int] = {
    number: index for index, number in enumerate(n for n in range(1, 92) if n not in _UNUSED_91)
}
"""COCO's own category numbers, 1..90 with gaps (torchvision's detectors), to 0..79."""

_ALIASES = {
    "aeroplane": "airplane",
    "cyclist": "person",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pedestrian": "person",
    "person_sitting": "person",
    "pottedplant": "potted plant",
    "rider": "person",
    "sofa": "couch",
    "tram": "train",
    "tvmonitor": "tv",
    "van": "car",
}
_IDS = {name: index for index, name in enumerate(COCO_NAMES)}


def class_id(name: str) -> int | None:
    """Number 0..79 of a class by its name in COCO, KITTI or VOC; ``None`` if COCO has no such."""
    key = name.strip().lower()
    return _IDS.get(_ALIASES.get(key, key))


def map_names(names: Mapping[int, str] | Sequence[str]) -> dict[int, int]:
    """A detector's class numbers to COCO's, by name; others than COCO's are left out."""
    items = names.items() if isinstance(names, Mapping) else enumerate(names)
    found = ((int(index), class_id(name)) for index, name in items)
    return {index: coco for index, coco in found if coco is not None}
