"""What a detector finds in clean, rainy and derained pictures: the score that deraining is for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rainclear.data.readers.files import pair_folders, pictures, read_rgb
from rainclear.detection.detections import Detections, Detector, Pixels
from rainclear.errors import InputError, ModelError
from rainclear.evaluation.average_precision import average_precision, match
from rainclear.evaluation.classes import Classes
from rainclear.evaluation.labels import GroundTruth, Labels
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.runtime.derainer import Derainer

__all__ = [
    "NO_MODEL",
    "DetectionEvaluation",
    "DetectionSet",
    "ModelGain",
    "Score",
    "evaluate_detection",
    "open_detection_set",
    "torchmetrics_map",
]

NO_MODEL = "none"
"""A model by this name leaves the picture as it is: the control."""

_SMALL = 1e-6
_DRY = "dry:"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectionSet:
    """Labelled pictures, rainy, and clean where there is such a partner.

    Attributes:
        files: The labelled pictures.
        labels: Their labels.
        clean: The clean partner of each; empty if there is none.
        rain: Preset that is rained on ``files``, which are clean then.
    """

    files: tuple[Path, ...]
    labels: Labels
    clean: tuple[Path, ...] = ()
    rain: str | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def has_clean(self) -> bool:
        """Whether every picture has a clean partner."""
        return bool(self.clean) or self.rain is not None

    def read(self, index: int) -> tuple[Pixels, Pixels | None]:
        """The rainy and the clean picture, H×W×3 uint8 RGB; rain of the seed ``index``.

        Raises:
            InputError: A picture cannot be read, or two partners differ in size.
        """
        picture = _eight_bit(self.files[index])
        if self.rain is not None:
            height, width = picture.shape[:2]
            rain = RainClip(preset(self.rain, height=height), height, width, seed=index)
            rainy = rain(picture.astype(np.float32) / np.float32(255)).rainy
            return np.rint(rainy * 255).astype(np.uint8), picture
        if not self.clean:
            return picture, None
        clean = _eight_bit(self.clean[index])
        if clean.shape != picture.shape:
            raise InputError(f"{self.files[index]} and {self.clean[index]} differ in size")
        return picture, clean

    def truth(self, index: int, shape: tuple[int, ...]) -> GroundTruth:
        """The labels of a picture of this shape."""
        return self.labels.of(self.files[index], shape[0], shape[1])


def _eight_bit(path: Path) -> Pixels:
    pixels = read_rgb(path)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype.itemsize == 2 else pixels.astype(np.uint8)


def open_detection_set(
    images: Path, labels: Labels, *, clean: Path | None = None, rain: str | None = None
) -> DetectionSet:
    """The pictures of a folder that have labels.

    Args:
        images: Folder of rainy pictures, or of clean ones if ``rain`` is given.
        labels: Their labels; pictures without are left out.
        clean: Folder of clean partners of the same names.
        rain: Preset of generated rain.

    Raises:
        InputError: There is no labelled picture, or one has no clean partner.
        ConfigError: There is no such preset.
    """
    if not images.is_dir():
        raise InputError(f"{images}: is not a folder of pictures")
    files = tuple(file for file in pictures(images) if labels.has(file))
    if not files:
        raise InputError(f"{images}: no picture in it has labels")
    if rain is not None:
        preset(rain)
        return DetectionSet(files=files, labels=labels, rain=rain)
    if clean is None:
        return DetectionSet(files=files, labels=labels)
    partners = dict(pair_folders(images, clean))
    return DetectionSet(files=files, labels=labels, clean=tuple(partners[f] for f in files))


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Mean average precision of one kind of pictures.

    Attributes:
        map50_95: Mean over overlaps 0.5..0.95 and classes.
        map50: At overlap 0.5.
        per_class: ``map50_95``, ``map50`` and the number of ``boxes`` of each class by name.
        by_overlap: Mean over classes at each of the ten overlaps.
    """

    map50_95: float
    map50: float
    per_class: dict[str, dict[str, float]]
    by_overlap: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "map50_95": self.map50_95,
            "map50": self.map50,
            "per_class": self.per_class,
            "by_overlap": list(self.by_overlap),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelGain:
    """What one model changes; all in mAP50-95.

    Attributes:
        score: On derained pictures.
        gain: Derained minus rainy.
        gain_ci95: Its interval over resampled pictures, paired.
        recovered: Gain over (clean − rainy); ``None`` without clean pictures or loss by the rain.
        dry_regression: Clean pictures through the model minus clean pictures; below 0 is a loss.
        per_class: ``gain`` and ``gain_ci95`` of each class by name.
        picture_gain: Derained minus rainy of each picture alone; NaN where it shows no class.
    """

    score: Score
    gain: float
    gain_ci95: tuple[float, float]
    recovered: float | None
    dry_regression: float | None
    per_class: dict[str, dict[str, Any]]
    picture_gain: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.score.as_dict(),
            "gain": self.gain,
            "gain_ci95": list(self.gain_ci95),
            "recovered": self.recovered,
            "dry_regression": self.dry_regression,
            "per_class_gain": self.per_class,
        }


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectionEvaluation:
    """Everything that a run found.

    Attributes:
        pictures: What it was measured on.
        classes: The classes measured.
        clean: Score on clean pictures, if there are any.
        rainy: Score on the rainy ones.
        models: What each model changes, by its name.
        truth: Labels of each picture, under the numbers of ``classes``.
        found: Detections of each picture by kind: ``clean``, ``rainy`` and each model.
    """

    pictures: DetectionSet
    classes: Classes
    clean: Score | None
    rainy: Score
    models: dict[str, ModelGain]
    truth: list[GroundTruth]
    found: dict[str, list[Detections]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``gain`` and what follows it are of the first model that is not the control."""
        first = next((m for n, m in self.models.items() if n != NO_MODEL), None)
        first = first or next(iter(self.models.values()))
        return {
            "clean": self.clean and self.clean.as_dict(),
            "rainy": self.rainy.as_dict(),
            **{f"derained.{name}": model.as_dict() for name, model in self.models.items()},
            "gain": first.gain,
            "gain_ci95": list(first.gain_ci95),
            "recovered": first.recovered,
            "dry_regression": first.dry_regression,
            "pictures": len(self.pictures),
            "classes": list(self.classes.names),
            "rain": self.pictures.rain,
        }


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
    raw, truth = _detect(pictures, detector, derainers, on_picture)
    classes = Classes.of(truth, merges=merges, only=only)
    truth = [classes.of_truth(labels) for labels in truth]
    found = {kind: [classes.of_detections(d) for d in raw[kind]] for kind in raw}
    rng = np.random.default_rng(seed)
    n = len(pictures)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), np.eye(n), drawn])
    tables = {
        # Of clean pictures, no interval is shown.
        kind: _precisions(found[kind], truth, classes, weights if _varies(kind) else weights[:1])
        for kind in found
    }
    scores = {kind: _score(found[kind], truth, classes, tables[kind]) for kind in tables}
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
        )
    return DetectionEvaluation(
        pictures=pictures,
        classes=classes,
        clean=scores.get("clean"),
        rainy=scores["rainy"],
        models=models,
        truth=truth,
        found={kind: found[kind] for kind in found if not kind.startswith(_DRY)},
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
) -> tuple[dict[str, list[Detections]], list[GroundTruth]]:
    found: dict[str, list[Detections]] = {}
    truth = []
    for index in range(len(pictures)):
        rainy, clean = pictures.read(index)
        truth.append(pictures.truth(index, rainy.shape))
        plain = {"rainy": rainy} if clean is None else {"clean": clean, "rainy": rainy}
        for kind, picture in plain.items():
            found.setdefault(kind, []).extend(detector([picture]))
        for name, derainer in derainers.items():
            for kind, source in (("rainy", rainy), ("clean", clean)):
                if source is None:
                    continue
                key = name if kind == "rainy" else _dry(name)
                if derainer is None:
                    result = found[kind][-1]
                else:
                    derainer.reset()
                    (result,) = detector([np.asarray(derainer.process(source), np.uint8)])
                found.setdefault(key, []).append(result)
        if on_picture is not None:
            on_picture(index + 1)
    return found, truth


def _precisions(
    found: list[Detections],
    truth: list[GroundTruth],
    classes: Classes,
    weights: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """K×B×10: class, set of pictures, overlap."""
    each = (match(found, truth, k) for k in range(len(classes.names)))
    return np.stack([average_precision(matches, weights) for matches in each])


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
) -> Score:
    numbers = list(range(len(classes.names)))
    summary = torchmetrics_map(found, truth, numbers)
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
    )


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
