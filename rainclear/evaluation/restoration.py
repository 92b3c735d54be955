"""Restoration measured on pairs of pictures and on clips: derained against the truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rainclear.data.readers import pair_folders
from rainclear.errors import InputError
from rainclear.evaluation.metrics import Picture, psnr, psnr_y
from rainclear.runtime.derainer import Derainer
from rainclear.video import read_image

__all__ = ["Restoration", "evaluate_clip", "evaluate_pairs", "pair_files"]


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
