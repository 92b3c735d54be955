"""A scene that tells up from down and left from right."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def scene() -> np.ndarray:
    """Smooth blobs, 96×160×3 float32 in [0, 1]."""
    blobs = np.random.default_rng(3).random((6, 10, 3)).astype(np.float32)
    return np.clip(cv2.resize(blobs, (160, 96), interpolation=cv2.INTER_CUBIC), 0, 1)
