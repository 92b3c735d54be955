"""How close a derained picture is to the truth."""

import numpy as np
import numpy.typing as npt

__all__ = ["luma", "psnr", "psnr_y"]

Picture = npt.NDArray[np.uint8]
_Levels = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def psnr(picture: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures of one shape; ``inf`` if equal.

    Raises:
        ValueError: The shapes differ.
    """
    return _decibels(picture.astype(np.float32), truth.astype(np.float32))


def _decibels(levels: _Levels, truth: _Levels) -> float:
    if levels.shape != truth.shape:
        raise ValueError(f"pictures differ in shape: {levels.shape} and {truth.shape}")
    error = float(np.mean(np.square(levels - truth), dtype=np.float64))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def luma(picture: Picture) -> npt.NDArray[np.float64]:
    """Y of ITU-R BT.601 in 16..235, as deraining papers compute it (Matlab's rgb2ycbcr)."""
    rgb = picture.astype(np.float64)
    return 16.0 + (65.481 * rgb[..., 0] + 128.553 * rgb[..., 1] + 24.966 * rgb[..., 2]) / 255.0


def psnr_y(picture: Picture, truth: Picture) -> float:
    """PSNR in dB of the luma of two RGB uint8 pictures: what most deraining papers quote.

    Raises:
        ValueError: The shapes differ.
    """
    return _decibels(luma(picture), luma(truth))
