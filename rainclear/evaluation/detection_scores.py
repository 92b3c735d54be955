"""The figures of a detection evaluation, and how they look in JSON."""

from dataclasses import dataclass
from typing import Any

from rainclear.detection.detections import Detections
from rainclear.evaluation.classes import Classes
from rainclear.evaluation.detection_set import DetectionSet
from rainclear.evaluation.labels import GroundTruth

__all__ = ["NO_MODEL", "DetectionEvaluation", "ModelGain", "Score"]

NO_MODEL = "none"
"""A model by this name leaves the picture as it is: the control."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Mean average precision of one kind of pictures.

    Attributes:
        map50_95: Mean over overlaps 0.5..0.95 and classes.
        map50: At overlap 0.5.
        per_class: ``map50_95``, ``map50`` and the number of ``boxes`` of each class by name; a box
            counts once, however many rains fall on its picture.
        by_overlap: Mean over classes at each of the ten overlaps.
        by_recall: Precision at overlap 0.5, mean over classes, at COCO's 101 recalls 0..1.
    """

    map50_95: float
    map50: float
    per_class: dict[str, dict[str, float]]
    by_overlap: tuple[float, ...]
    by_recall: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "map50_95": self.map50_95,
            "map50": self.map50,
            "per_class": self.per_class,
            "by_overlap": list(self.by_overlap),
            "by_recall": list(self.by_recall),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelGain:
    """What one model changes; all in mAP50-95.

    Attributes:
        score: On derained pictures.
        gain: Derained minus rainy.
        gain_ci95: Its interval over resampled pictures, paired; all rains on a picture are drawn
            with it.
        recovered: Gain over (clean − rainy); ``None`` without clean pictures or loss by the rain.
        dry_regression: Clean pictures through the model minus clean pictures; below 0 is a loss.
        per_class: ``gain`` and ``gain_ci95`` of each class by name.
        picture_gain: Derained minus rainy of each picture alone, over all its rains; NaN where it
            shows no class.
        derained: Rainy pictures, every rain counted, that the rain gate let be derained.
        derained_dry: The same of the clean ones; ``None`` without them.
    """

    score: Score
    gain: float
    gain_ci95: tuple[float, float]
    recovered: float | None
    dry_regression: float | None
    per_class: dict[str, dict[str, Any]]
    picture_gain: tuple[float, ...]
    derained: int
    derained_dry: int | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.score.as_dict(),
            "gain": self.gain,
            "gain_ci95": list(self.gain_ci95),
            "recovered": self.recovered,
            "dry_regression": self.dry_regression,
            "per_class_gain": self.per_class,
            "derained_pictures": self.derained,
            "derained_dry_pictures": self.derained_dry,
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
        found: Detections of each picture by kind: ``clean``, ``rainy`` and each model; of its first
            rain, where it has several.
    """

    pictures: DetectionSet
    classes: Classes
    clean: Score | None
    rainy: Score
    models: dict[str, ModelGain]
    truth: list[GroundTruth]
    found: dict[str, list[Detections]]

    @property
    def extent(self) -> str:
        """How much was measured, in words: ``41 pictures × 4 rains``."""
        draws = self.pictures.draws
        return f"{len(self.pictures)} pictures" + (f" × {draws} rains" if draws > 1 else "")

    @property
    def passed(self) -> list[str]:
        """A line for each model whose rain gate let pictures pass as they were: how many."""
        lines = []
        rains, dry = len(self.pictures) * self.pictures.draws, len(self.pictures)
        for name, model in self.models.items():
            all_dry = model.derained_dry in (None, dry)
            if name == NO_MODEL or (model.derained == rains and all_dry):
                continue
            of_dry = f" and {model.derained_dry} of {dry} dry" if not all_dry else ""
            lines.append(
                f"{name}: {model.derained} of {rains} rainy{of_dry} pictures were derained; the "
                "rain gate let the others pass as they were"
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``gain`` and what follows it are of the first model that is not the control.

        Each model is there twice: under ``derained``, and as ``derained.NAME`` at the top.
        """
        first = next((m for n, m in self.models.items() if n != NO_MODEL), None)
        first = first or next(iter(self.models.values()))
        models = {name: model.as_dict() for name, model in self.models.items()}
        return {
            "clean": self.clean and self.clean.as_dict(),
            "rainy": self.rainy.as_dict(),
            "derained": models,
            **{f"derained.{name}": model for name, model in models.items()},
            "gain": first.gain,
            "gain_ci95": list(first.gain_ci95),
            "recovered": first.recovered,
            "dry_regression": first.dry_regression,
            "pictures": len(self.pictures),
            "unlabelled_left_out": len(self.pictures.unlabelled),
            "classes": list(self.classes.names),
            "rain": self.pictures.rain,
            "draws": self.pictures.draws,
        }
