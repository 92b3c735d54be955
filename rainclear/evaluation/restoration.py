"""Restoration measured on pairs of pictures and on clips: derained against the truth."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rainclear.data.readers import pair_folders
from rainclear.errors import InputError
from rainclear.evaluation.cases import Case, Shown
from rainclear.evaluation.gallery import Gallery
from rainclear.evaluation.intensity import intensity
from rainclear.evaluation.metrics import Picture, decibels, luma, psnr, psnr_y, ssim, temporal_error
from rainclear.evaluation.perceptual import Perceptual
from rainclear.evaluation.scores import PictureScore, Score, summary
from rainclear.runtime.derainer import Derainer
from rainclear.video import read_image

__all__ = [
    "Evaluation",
    "Restoration",
    "evaluate",
    "evaluate_clip",
    "evaluate_pairs",
    "pair_files",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What came out of a run.

    Attributes:
        models: Names of the models; the first one is the one that is shown first.
        pictures: Scores of every picture and frame, in order.
        gallery: Pictures with the largest gains and losses of the first model.
        notes: One line for each thing that was left out.
    """

    models: tuple[str, ...]
    pictures: list[PictureScore]
    gallery: Gallery
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; see :func:`rainclear.evaluation.scores.summary`.

        The first model's results are at top level; ``models`` holds those of each by name.
        """
        results = {model: summary(self.pictures, model) for model in self.models}
        return {**results[self.models[0]], "models": results, "notes": list(self.notes)}


class _Frames:
    """The pictures of one step: rainy, truth, and what each model made, by name."""

    def __init__(self, shown: Shown, derained: Mapping[str, Picture]) -> None:
        self.truth, self.rainy, self.derained = shown.clean, shown.rainy, derained

    def named(self) -> dict[str, Picture]:
        """All pictures by what they show."""
        return {"rainy": self.rainy, **self.derained, "truth": self.truth}


def evaluate(
    cases: Sequence[Case],
    derainers: Mapping[str, Derainer],
    *,
    perceptual: Perceptual | None = None,
    gallery: int = 0,
    on_picture: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Score models on pairs and clips; every picture is read, and rained on, once for all models.

    A derainer is reset before each pair and each clip; within a clip its state is carried.

    Args:
        cases: What to measure on; see :mod:`rainclear.evaluation.cases`.
        derainers: What is measured, by name.
        perceptual: LPIPS, if it is to be measured.
        gallery: Number of best and of worst pictures to keep for a report.
        on_picture: Called after every picture with the number done.

    Raises:
        InputError: A picture is damaged, does not fit its partner, or is smaller than 11×11; the
            message names it.
    """
    models = tuple(derainers)
    chosen = Gallery(models[0], gallery)
    scores: list[PictureScore] = []
    for case in cases:
        for derainer in derainers.values():
            derainer.reset()
        previous: _Frames | None = None
        for index, shown in enumerate(case.open()):
            if min(shown.rainy.shape[:2]) < 11:
                raise InputError(f"{case.name}: is smaller than 11×11 pixels, which SSIM needs")
            derained = {
                name: np.asarray(derainer.process(shown.rainy), np.uint8)
                for name, derainer in derainers.items()
            }
            frames = _Frames(shown, derained)
            score = _score_all(case, shown, frames, previous, perceptual)
            scores.append(score)
            chosen.offer(score, index, frames.named())
            previous = frames if case.clip else None
            on_picture(len(scores))
    if not scores:
        raise InputError("there is no picture to measure")
    return Evaluation(models=models, pictures=scores, gallery=chosen)


def _score_all(
    case: Case,
    shown: Shown,
    now: _Frames,
    before: _Frames | None,
    perceptual: Perceptual | None,
) -> PictureScore:
    truth_y = luma(now.truth)

    def score(picture: Picture, earlier: Picture | None) -> Score:
        levels = luma(picture)
        flicker = None
        if before is not None and earlier is not None and earlier.shape == picture.shape:
            flicker = temporal_error(earlier, picture, before.truth, now.truth)
        return Score(
            psnr_rgb=psnr(picture, now.truth),
            psnr_y=decibels(levels, truth_y),
            ssim_y=ssim(levels, truth_y),
            lpips=perceptual(picture, now.truth) if perceptual else None,
            temporal_error=flicker,
        )

    return PictureScore(
        name=shown.name if case.clip else case.name,
        clip=case.name if case.clip else None,
        intensity=intensity(now.rainy, now.truth),
        input=score(now.rainy, before.rainy if before else None),
        outputs={
            name: score(picture, before.derained[name] if before else None)
            for name, picture in now.derained.items()
        },
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoration:
    """Mean PSNR in dB over pictures, before and after deraining.

    Attributes:
        pictures: Number of pictures or frames.
        rgb_input: RGB PSNR of the rainy pictures.
        rgb_output: RGB PSNR of the derained ones.
        y_input: PSNR of the luma, rainy.
        y_output: PSNR of the luma, derained.
    """

    pictures: int
    rgb_input: float
    rgb_output: float
    y_input: float
    y_output: float


def pair_files(rainy: Path, clean: Path) -> list[tuple[Path, Path]]:
    """Pictures of two folders, paired by name without suffix.

    Raises:
        InputError: A folder is missing, or a rainy picture has no clean partner.
    """
    return pair_folders(rainy, clean)


def _mean(scores: list[tuple[float, float, float, float]]) -> Restoration:
    rgb_in, rgb_out, y_in, y_out = np.mean(scores, axis=0)
    return Restoration(
        pictures=len(scores),
        rgb_input=float(rgb_in),
        rgb_output=float(rgb_out),
        y_input=float(y_in),
        y_output=float(y_out),
    )


def _score(rainy: Picture, derained: Picture, truth: Picture) -> tuple[float, float, float, float]:
    return (
        psnr(rainy, truth),
        psnr(derained, truth),
        psnr_y(rainy, truth),
        psnr_y(derained, truth),
    )


def evaluate_pairs(rainy: Path, clean: Path, derainer: Derainer) -> Restoration:
    """Score single pictures: the derainer is reset before each.

    Args:
        rainy: Folder of rainy pictures.
        clean: Folder of their clean partners, of the same names.
        derainer: What is measured.

    Raises:
        InputError: The folders do not pair up, or two partners differ in size.
    """
    scores = []
    for rainy_path, clean_path in pair_files(rainy, clean):
        picture, truth = read_image(rainy_path).eight_bit(), read_image(clean_path).eight_bit()
        if picture.shape != truth.shape:
            raise InputError(f"{rainy_path} and {clean_path} differ in size")
        derainer.reset()
        derained = derainer.process(picture)
        scores.append(_score(picture, np.asarray(derained, np.uint8), truth))
    return _mean(scores)


def evaluate_clip(frames: Iterable[tuple[Picture, Picture]], derainer: Derainer) -> Restoration:
    """Score a clip of (rainy, clean) frames in order, with the state carried from the first."""
    derainer.reset()
    scores = []
    for rainy, truth in frames:
        derained = np.asarray(derainer.process(rainy), np.uint8)
        scores.append(_score(rainy, derained, truth))
    return _mean(scores)
