"""Boxes that people drew: YOLO text files, COCO JSON and KITTI ``label_2``.

The format is told from the files. YOLO labels have COCO's class numbers 0..79, and of polygons the
box around them counts; COCO and KITTI labels are mapped by the names of their classes (KITTI: Van
→ car, Tram → train, Cyclist and Pedestrian → person), and classes that COCO does not have (KITTI:
Misc) become ignore regions.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rainclear.detection.coco import COCO_NAMES, class_id
from rainclear.errors import InputError

__all__ = ["GroundTruth", "Labels", "read_labels"]

_KITTI_COLUMNS = 15
_YOLO_COLUMNS = (5, 6)  # class, x, y, w, h, and a score where a detector wrote them
_POLYGON_COLUMNS = 7
_TOLERANCE = 0.01  # of the picture: boxes at its edge may be rounded to a little beyond it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroundTruth:
    """What a picture shows.

    Attributes:
        xyxy: N×4 float32 in pixels.
        classes: N int64, COCO numbers 0..79.
        ignore: M×4 float32: regions where detections count neither way.
        ignore_classes: M int64: the class that a region is for, -1 for all.
    """

    xyxy: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    ignore: npt.NDArray[np.float32]
    ignore_classes: npt.NDArray[np.int64]


_Row = tuple[int, tuple[float, float, float, float]]


def _ground_truth(boxes: list[_Row], ignore: list[_Row]) -> GroundTruth:
    def table(rows: list[_Row]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        return (
            np.array([box for _, box in rows], np.float32).reshape(-1, 4),
            np.array([number for number, _ in rows], np.int64),
        )

    (xyxy, classes), (regions, numbers) = table(boxes), table(ignore)
    return GroundTruth(xyxy=xyxy, classes=classes, ignore=regions, ignore_classes=numbers)


class Labels:
    """The labels of a folder of pictures; made by :func:`read_labels`."""

    def __init__(self, source: Path, coco: dict[str, tuple[list[_Row], list[_Row]]] | None) -> None:
        self._source = source
        self._coco = coco

    def of(self, picture: Path, height: int, width: int) -> GroundTruth:
        """The labels of a picture of this size; none at all if it has no label file.

        Raises:
            InputError: A label file is broken, or names a class number that COCO does not have.
        """
        if self._coco is not None:
            return _ground_truth(*self._coco.get(picture.name, ([], [])))
        boxes: list[_Row] = []
        ignore: list[_Row] = []
        _read_text(self._source / f"{picture.stem}.txt", height, width, boxes, ignore)
        regions = self._source.parent / "ignore" / f"{picture.stem}.txt"
        _read_text(regions, height, width, ignore, ignore, region=True)
        return _ground_truth(boxes, ignore)

    def has(self, picture: Path) -> bool:
        """Whether the picture was labelled at all, if only as empty."""
        if self._coco is not None:
            return picture.name in self._coco
        return (self._source / f"{picture.stem}.txt").is_file()


def read_labels(source: Path) -> Labels:
    """Labels of a folder of text files (YOLO or KITTI), or of a COCO JSON file.

    A folder ``ignore`` beside a folder of text files holds regions to ignore, of the same format;
    its first column is a name or number that is not looked at.

    Raises:
        InputError: The source is missing or is not one of these formats.
    """
    if source.is_dir():
        jsons = sorted(source.glob("*.json"))
        if len(jsons) == 1:
            return read_labels(jsons[0])
        if not any(source.glob("*.txt")):
            raise InputError(f"{source}: holds no label files (.txt) and not one COCO .json")
        return Labels(source, None)
    if not source.is_file():
        raise InputError(f"{source}: no such file or folder of labels")
    return Labels(source, _read_coco(source))


def _read_text(
    path: Path,
    height: int,
    width: int,
    boxes: list[_Row],
    ignore: list[_Row],
    *,
    region: bool = False,
) -> None:
    if not path.is_file():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        try:
            if len(fields) >= _KITTI_COLUMNS and not _is_number(fields[0]):
                left, top, right, bottom = (float(value) for value in fields[4:8])
                known = class_id(fields[0])
            else:
                known = -1 if region else _whole(fields[0])
                x0, y0, x1, y1 = _yolo_box([float(value) for value in fields[1:]])
                left, top, right, bottom = x0 * width, y0 * height, x1 * width, y1 * height
        except ValueError as error:
            raise InputError(f"{path}:{number}: is neither YOLO nor KITTI: {error}") from error
        if region:
            known = -1
        elif known is not None and not 0 <= known < len(COCO_NAMES):
            raise InputError(f"{path}:{number}: class {known} is not one of COCO's 0..79")
        box = (left, top, right, bottom)
        if known is None:
            ignore.append((-1, box))
        else:
            boxes.append((known, box))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(text: str) -> int:
    number = float(text)
    if not number.is_integer():
        raise ValueError(f"class {text} is not a whole number")
    return int(number)


def _yolo_box(values: list[float]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom as parts of the picture; ``values`` is what follows the class."""
    columns = len(values) + 1
    if columns < min(_YOLO_COLUMNS):
        raise ValueError("too few columns")
    polygon = columns >= _POLYGON_COLUMNS
    if polygon and columns % 2 == 0:
        raise ValueError(f"{columns} columns are neither x, y, w, h nor the x y pairs of a polygon")
    shape = values if polygon else values[:4]
    wrong = next((v for v in shape if not -_TOLERANCE <= v <= 1 + _TOLERANCE), None)
    if wrong is not None:
        raise ValueError(
            f"{wrong:g} is outside 0..1; pixels are to be divided by the picture's width and height"
        )
    if polygon:
        return min(shape[::2]), min(shape[1::2]), max(shape[::2]), max(shape[1::2])
    x, y, w, h = shape
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _read_coco(path: Path) -> dict[str, tuple[list[_Row], list[_Row]]]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = {c["id"]: class_id(c["name"]) for c in data["categories"]}
        files = {image["id"]: Path(image["file_name"]).name for image in data["images"]}
        found: dict[str, tuple[list[_Row], list[_Row]]] = {f: ([], []) for f in files.values()}
        for note in data["annotations"]:
            x, y, w, h = (float(value) for value in note["bbox"])
            known = names[note["category_id"]]
            crowd = known is None or bool(note.get("iscrowd", 0))
            row = (-1 if known is None else known, (x, y, x + w, y + h))
            found[files[note["image_id"]]][crowd].append(row)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a COCO annotation file: {error!r}") from error
    return found
