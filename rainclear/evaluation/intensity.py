"""Rain intensity of a picture, and the bins that results are split by (paper, Section 4.6).

The paper compares light and heavy rain by eye and gives no numbers. The edges here are ours: fixed,
so that results on different data compare, and each twice the one before.
"""

from dataclasses import dataclass

import numpy as np

from rainclear.evaluation.metrics import Picture

__all__ = ["BINS", "Bin", "find_bin", "intensity"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """A range of rain intensities: ``low`` ≤ intensity < ``high``, in levels 0..255."""

    label: str
    low: float
    high: float


BINS = (
    Bin(label="dry", low=0.0, high=0.5),
    Bin(label="under 5", low=0.5, high=5.0),
    Bin(label="5 to 10", low=5.0, high=10.0),
    Bin(label="10 to 20", low=10.0, high=20.0),
    Bin(label="20 to 40", low=20.0, high=40.0),
    Bin(label="40 and over", low=40.0, high=256.0),
)
"""All that there are, without gaps."""


def intensity(rainy: Picture, clean: Picture) -> float:
    """How much rain is in a picture: mean |rainy − clean| over all samples, in levels 0..255.

    Raises:
        ValueError: The shapes differ.
    """
    if rainy.shape != clean.shape:
        raise ValueError(f"pictures differ in shape: {rainy.shape} and {clean.shape}")
    return float(np.mean(np.abs(rainy.astype(np.int16) - clean), dtype=np.float64))


def find_bin(level: float) -> Bin:
    """The bin that an intensity lies in."""
    return next(b for b in reversed(BINS) if level >= b.low)
