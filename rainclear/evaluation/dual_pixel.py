"""Raindrop removal from dual-pixel halves, measured against the truth."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rainclear.data.dual_pixel import water_mask
from rainclear.evaluation.metrics import Picture, psnr, ssim
from rainclear.runtime.dual import DualDerainer

__all__ = ["DualScores", "evaluate_halves", "intersection_over_union"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class DualScores:
    """Means over pictures, before and after; the input is the mean of the two halves.

    Attributes:
        pictures: Number of pictures.
        psnr_input: RGB PSNR in dB of the input.
        psnr_output: RGB PSNR in dB of the result.
        ssim_input: SSIM of the input, mean of the three channels.
        ssim_output: SSIM of the result, likewise.
        mask_iou: Intersection over union of the mask at 0.5 with the pixels that water changed in
            either half.
    """

    pictures: int
    psnr_input: float
    psnr_output: float
    ssim_input: float
    ssim_output: float
    mask_iou: float

    @property
    def gain(self) -> float:
        """PSNR gained in dB."""
        return self.psnr_output - self.psnr_input


def evaluate_halves(samples: Iterable[Mapping[str, Tensor]], derainer: DualDerainer) -> DualScores:
    """Score a network on generated pairs; a network with ``single`` is scored on the same.

    Args:
        samples: ``left``, ``right`` and ``clean``, 3×H×W uint8, at least 11×11, as
            :func:`rainclear.data.dual_pixel.held_out_pairs` makes them.
        derainer: What is measured.

    Raises:
        ValueError: There are no samples.
    """
    rows = []
    for sample in samples:
        left, right, truth = (_picture(sample[name]) for name in ("left", "right", "clean"))
        out = derainer.process(left, right)
        before = ((left.astype(np.uint16) + right + 1) // 2).astype(np.uint8)
        halves, clean = (sample["left"][None], sample["right"][None]), sample["clean"][None]
        water = (water_mask(halves[0], clean) | water_mask(halves[1], clean))[0, 0].numpy()
        rows.append(
            (
                psnr(before, truth),
                psnr(out.pixels, truth),
                _ssim_rgb(before, truth),
                _ssim_rgb(out.pixels, truth),
                intersection_over_union(out.mask >= 0.5, water),
            )
        )
    if not rows:
        raise ValueError("no samples to score")
    psnr_in, psnr_out, ssim_in, ssim_out, iou = np.mean(rows, axis=0).tolist()
    return DualScores(
        pictures=len(rows),
        psnr_input=psnr_in,
        psnr_output=psnr_out,
        ssim_input=ssim_in,
        ssim_output=ssim_out,
        mask_iou=iou,
    )


def intersection_over_union(found: Mask, truth: Mask) -> float:
    """Share of the pixels of either mask, H×W, that are in both; 1 if both are empty.

    Raises:
        ValueError: The shapes differ.
    """
    if found.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {found.shape} and {truth.shape}")
    union = int(np.count_nonzero(found | truth))
    return int(np.count_nonzero(found & truth)) / union if union else 1.0


def _picture(sample: Tensor) -> Picture:
    return np.ascontiguousarray(sample.permute(1, 2, 0).numpy())


def _ssim_rgb(picture: Picture, truth: Picture) -> float:
    levels, true = picture.astype(np.float64), truth.astype(np.float64)
    return float(np.mean([ssim(levels[..., c], true[..., c]) for c in range(3)]))
