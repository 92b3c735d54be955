"""Scores of single pictures, and their means as plain values for JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rainclear.evaluation.intensity import BINS, find_bin

__all__ = ["METRICS", "PictureScore", "Score", "summary"]

METRICS = ("psnr_rgb", "psnr_y", "ssim_y", "lpips", "temporal_error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How close one picture is to the truth.

    Attributes:
        psnr_rgb: PSNR of the RGB picture in dB, ``inf`` if it equals the truth.
        psnr_y: PSNR of the luma in dB.
        ssim_y: SSIM of the luma.
        lpips: LPIPS distance, ``None`` if it was not measured.
        temporal_error: Mean |Δpicture − Δtruth| in levels 0..255, ``None`` without a frame before.
    """

    psnr_rgb: float
    psnr_y: float
    ssim_y: float
    lpips: float | None = None
    temporal_error: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureScore:
    """One rainy picture and what each model made of it.

    Attributes:
        name: Name of the picture; of a frame, its number or file name.
        clip: Name of its clip, or ``None`` for a single picture.
        intensity: Mean |rainy − clean| in levels 0..255.
        input: Score of the rainy picture.
        outputs: Score of the derained picture by model.
    """

    name: str
    clip: str | None
    intensity: float
    input: Score
    outputs: dict[str, Score]

    @property
    def title(self) -> str:
        """Name that is unique in a run."""
        return self.name if self.clip is None else f"{self.clip}, frame {self.name}"

    def gain(self, model: str) -> float:
        """RGB PSNR won by a model in dB; NaN where the input equals the truth already."""
        return self.outputs[model].psnr_rgb - self.input.psnr_rgb


def summary(pictures: Sequence[PictureScore], model: str) -> dict[str, Any]:
    """Means over pictures, in all and by rain intensity, and every picture's scores.

    PSNR of a picture that equals the truth is infinite. Such dry pictures are left out of both
    PSNR means, ``input`` and ``output``, so that these compare; if all are dry, ``output`` is the
    mean over all, and ``input`` is ``None``, which stands for infinite in every place.
    """
    bins = []
    for b in BINS:
        inside = [p for p in pictures if find_bin(p.intensity) is b]
        if inside:
            bins.append({"label": b.label, "from": b.low, "to": b.high, **_means(inside, model)})
    return {
        "model": model,
        **_means(pictures, model),
        "by_intensity": bins,
        "pictures": [_row(p, model) for p in pictures],
    }


def _row(picture: PictureScore, model: str) -> dict[str, Any]:
    return {
        "name": picture.name,
        "clip": picture.clip,
        "intensity": picture.intensity,
        **{m: v for m in METRICS if (v := _pair(picture, model, m)) is not None},
    }


def _pair(picture: PictureScore, model: str, metric: str) -> dict[str, float | None] | None:
    before, after = getattr(picture.input, metric), getattr(picture.outputs[model], metric)
    if before is None:
        return None
    return {"input": _finite(before), "output": _finite(after)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _means(pictures: Sequence[PictureScore], model: str) -> dict[str, Any]:
    rainy = [p for p in pictures if math.isfinite(p.input.psnr_rgb)]
    means: dict[str, Any] = {"pairs": len(pictures), "dry": len(pictures) - len(rainy)}
    for metric in METRICS:
        chosen = (rainy or pictures) if metric.startswith("psnr") else pictures
        measured = [p for p in chosen if getattr(p.input, metric) is not None]
        if measured:
            before = [getattr(p.input, metric) for p in measured]
            after = [getattr(p.outputs[model], metric) for p in measured]
            means[metric] = {
                "input": _finite(float(np.mean(before))),
                "output": _finite(float(np.mean(after))),
            }
        elif metric == "temporal_error":
            means[metric] = None
    return means
