"""Soft masks: how much the rain changed each pixel (Sec. 3.2 of the paper, no threshold)."""

import numpy as np

from rainclear.rain.streaks import Float

__all__ = ["soft_mask"]


def soft_mask(rainy: Float, clean: Float, *, full_scale: float | None = None) -> Float:
    """|rainy − clean| averaged over the channels and brought to [0, 1], H×W.

    Args:
        rainy: Picture H×W×3 in [0, 1].
        clean: The same picture without that rain.
        full_scale: Difference that counts as 1. ``None`` takes the picture's own maximum, as the
            paper does; a fixed value makes masks of different pictures comparable, which a rain
            score needs.
    """
    difference = np.abs(rainy - clean).mean(axis=2)
    if full_scale is None:
        full_scale = max(float(difference.max()), 1e-6)
    return np.minimum(difference / full_scale, 1.0).astype(np.float32)
