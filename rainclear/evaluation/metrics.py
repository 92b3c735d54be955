"""How close a derained picture is to the truth.

Luma is the Y of Matlab's ``rgb2ycbcr``: ITU-R BT.601 from full-range RGB into 16..235, while PSNR
and SSIM still take 255 as the peak, as deraining papers do. Matlab rounds Y of a uint8 picture to
whole levels and the code here does not, nor do most evaluations in Python; below 40 dB the two
differ by less than 0.1 dB.
"""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Levels", "Picture", "decibels", "luma", "psnr", "psnr_y", "ssim", "ssim_y"]
__all__ += ["temporal_error"]

Picture: TypeAlias = npt.NDArray[np.uint8]
Levels: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


def psnr(picture: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures of one shape; ``inf`` if equal.

    Raises:
        ValueError: The shapes differ.
    """
    return decibels(picture.astype(np.float32), truth.astype(np.float32))


def decibels(levels: Levels, truth: Levels) -> float:
    """PSNR in dB of levels of any shape, peak 255; ``inf`` if equal.

    Raises:
        ValueError: The shapes differ.
    """
    _check_shapes(levels, truth)
    error = float(np.mean(np.square(levels - truth), dtype=np.float64))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def _check_shapes(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures differ in shape: {a.shape} and {b.shape}")


def luma(picture: Picture) -> npt.NDArray[np.float64]:
    """Y of ITU-R BT.601 in 16..235, as deraining papers compute it (Matlab's rgb2ycbcr)."""
    rgb = picture.astype(np.float64)
    return 16.0 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255.0


def psnr_y(picture: Picture, truth: Picture) -> float:
    """PSNR in dB of the luma of two RGB uint8 pictures: what most deraining papers quote.

    Raises:
        ValueError: The shapes differ.
    """
    return decibels(luma(picture), luma(truth))


def ssim(levels: Levels, truth: Levels) -> float:
    """Structural similarity of two grey pictures H×W, -1..1, peak 255.

    Mean of the map of Wang et al., *Image quality assessment: from error visibility to structural
    similarity*, 2004, Eq. 13: Gaussian window of 11×11 with σ 1.5, K₁ 0.01, K₂ 0.03, variances
    divided by the sum of the weights. Only windows that lie within the picture count (its border
    of 5 pixels is no centre of one), and nothing is scaled down first: the authors'
    ``ssim_index.m``, which deraining papers use.

    Raises:
        ValueError: The shapes differ, or a side is shorter than 11 pixels.
    """
    _check_shapes(levels, truth)
    if levels.ndim != 2 or min(levels.shape) < _WINDOW:
        raise ValueError(f"SSIM needs a grey picture of 11×11 or more, not {levels.shape}")
    a, b = levels.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    square_a, square_b, product = mean_a * mean_a, mean_b * mean_b, mean_a * mean_b
    variances = _blur(a * a + b * b) - square_a - square_b
    covariance = _blur(a * b) - product
    similarity = (2 * product + _C1) * (2 * covariance + _C2)
    similarity /= (square_a + square_b + _C1) * (variances + _C2)
    return float(similarity.mean())


def _blur(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian means of the windows within the picture, H-10 × W-10."""
    half = _WINDOW // 2
    blurred: npt.NDArray[np.float64] = cv2.GaussianBlur(plane, (_WINDOW, _WINDOW), _SIGMA)
    return blurred[half:-half, half:-half]


def ssim_y(picture: Picture, truth: Picture) -> float:
    """SSIM of the luma of two RGB uint8 pictures; see :func:`ssim`.

    Raises:
        ValueError: The shapes differ, or a side is shorter than 11 pixels.
    """
    return ssim(luma(picture), luma(truth))


def temporal_error(
    previous: Picture, current: Picture, previous_truth: Picture, current_truth: Picture
) -> float:
    """Flicker: mean |Δpicture − Δtruth| over all samples in levels 0..255, Δ from frame to frame.

    It is zero if a clip changes as the truth does, however far its pictures are from it.

    Raises:
        ValueError: The shapes differ.
    """
    for other in (current, previous_truth, current_truth):
        _check_shapes(previous, other)
    change = current.astype(np.int16) - previous
    change -= current_truth.astype(np.int16) - previous_truth
    return float(np.mean(np.abs(change), dtype=np.float64))
