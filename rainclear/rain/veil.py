"""The veil of far rain: attenuation and airlight that grow with depth (Koschmieder's law)."""

import cv2
import numpy as np

from rainclear.rain.streaks import Float

__all__ = ["HORIZON", "add_veil", "extinction", "road_depth", "transmission"]

HORIZON = 0.15
"""Distance in kilometres of what stands at the horizon of a street scene: depth 1."""


def extinction(rate: float) -> float:
    """Extinction of light in rain of ``rate`` mm/h, per kilometre: 0.312 · R^0.67.

    The law that Halder et al. (2019) render rain with. Times :data:`HORIZON` it is the optical
    depth of a street in that rain.
    """
    return 0.312 * max(rate, 0.0) ** 0.67


def road_depth(
    height: int,
    width: int,
    *,
    horizon: float = 0.45,
    span: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Float:
    """Relative depth of a road scene, H×W in (0, 1], 1 at the horizon and in the sky.

    Used where no depth map is known: a flat road in front of the camera, buildings or trees on both
    sides, and (with ``rng``) blobs of nearer things.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        horizon: Height of the horizon from the top, in picture heights; may lie outside 0..1.
        span: Height of the picture in those of the whole frame, where it is a crop.
        rng: Source of randomness for the blobs.
    """
    below = span * (np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None] - horizon)
    x = span * np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    road = 0.06 / np.maximum(below, 0.06)
    sides = 1.0 - 0.6 * np.abs(x) * np.clip(1.0 + 2.0 * below, 0.0, 1.0)
    depth = np.minimum(road, sides)
    if rng is not None:
        blobs = rng.uniform(0.5, 1.0, (5, 7)).astype(np.float32)
        depth = depth * cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(depth, 0.02, 1.0).astype(np.float32)


def transmission(depth: Float, strength: float) -> Float:
    """Share of the scene's light that arrives, exp(−strength · depth), H×W."""
    return np.exp(-strength * depth)


def add_veil(scene: Float, share: Float, airlight: Float) -> Float:
    """Scene H×W×3 seen through the veil: J·t + A·(1 − t).

    Args:
        scene: Clean picture in [0, 1].
        share: Transmission t, H×W.
        airlight: Colour A of the bright grey sky, 3 values in [0, 1].
    """
    t = share[..., None]
    return scene * t + airlight * (1.0 - t)
