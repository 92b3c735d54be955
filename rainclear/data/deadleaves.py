"""Procedural "dead leaves" pictures: opaque shapes of all sizes that occlude one another.

They share the statistics of natural pictures that restoration depends on: sharp edges at every
scale, flat and textured areas, occlusion (Lee, Mumford and Huang 2001; Achddou et al. 2021).
"""

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["dead_leaves"]


def _texture(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    """Noise with a random power spectrum, zero mean, unit deviation, size×size."""
    cells = int(np.exp(rng.uniform(np.log(4), np.log(size / 2))))
    noise = rng.normal(size=(cells, cells, 1)).astype(np.float32)
    field = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        field += rng.normal(size=(size, size)).astype(np.float32) * 0.5
    return field


def dead_leaves(rng: np.random.Generator, size: int = 512) -> npt.NDArray[np.uint8]:
    """Draw one picture, size×size×3 uint8.

    Args:
        rng: Source of all randomness.
        size: Height and width in pixels.
    """
    base = rng.uniform(0, 1, 3)
    picture = np.full((size, size, 3), base * 255, np.float32)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)[:, None, None]
    picture += ramp * rng.normal(0, 25, 3).astype(np.float32)
    count, smallest, largest = 700, 2.0, size / 3
    # Radii with density r^-3: the same look at every scale; large ones first, small ones on top.
    u = rng.random(count)
    radii = 1.0 / np.sqrt(u / smallest**2 + (1 - u) / largest**2)
    order = np.argsort(-radii) if rng.random() < 0.5 else rng.permutation(count)
    saturation = rng.uniform(0.1, 1.0)
    for r in radii[order]:
        grey = rng.uniform(0, 255)
        colour = grey + saturation * (rng.uniform(0, 255, 3) - grey)
        x, y = rng.uniform(-r, size + r, 2)
        kind = rng.integers(3)
        if kind == 0:
            axes = (max(1, int(r)), max(1, int(r * rng.uniform(0.2, 1))))
            angle = float(rng.uniform(0, 360))
            cv2.ellipse(
                picture, (int(x), int(y)), axes, angle, 0, 360, colour.tolist(), -1, cv2.LINE_8
            )
        else:
            corners = 4 if kind == 1 else int(rng.integers(3, 7))
            angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
            stretch = np.array([1.0, rng.uniform(0.1, 1.0)])
            points = np.stack([np.cos(angles), np.sin(angles)], 1) * r * stretch
            turn = rng.uniform(0, 2 * np.pi) if kind == 2 else 0.0
            rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            polygon = np.round(points @ rotation.T + (x, y)).astype(np.int32)
            cv2.fillPoly(picture, [polygon], colour.tolist(), cv2.LINE_8)
    weight = cv2.resize(
        rng.random((6, 6)).astype(np.float32), (size, size), interpolation=cv2.INTER_NEAREST
    )
    picture += (_texture(rng, size) * weight * rng.uniform(0, 30))[..., None]
    picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.0)))
    return np.clip(picture, 0, 255).astype(np.uint8)
