"""A scene that tells up from down and left from right, and a source of no chance at all."""

from typing import Any

import cv2
import numpy as np
import pytest


@pytest.fixture
def scene() -> np.ndarray:
    """Smooth blobs, 96×160×3 float32 in [0, 1]."""
    blobs = np.random.default_rng(3).random((6, 10, 3)).astype(np.float32)
    return np.clip(cv2.resize(blobs, (160, 96), interpolation=cv2.INTER_CUBIC), 0, 1)


class Middle:
    """Stands in for a random generator: every draw is the middle of its range.

    Drops then are one round drop in the middle of the glass.
    """

    def __init__(self, *, chance: float = 0.99) -> None:
        self.chance = chance

    def poisson(self, mean: float) -> int:
        return 1

    def lognormal(self, mean: float, sigma: float) -> float:
        return float(np.exp(mean))

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def random(self) -> float:
        return self.chance

    def choice(self, count: int, p: Any = None) -> int:
        return 0


@pytest.fixture
def still_rng() -> Middle:
    return Middle()


@pytest.fixture
def sliding_rng() -> Middle:
    return Middle(chance=0.0)
