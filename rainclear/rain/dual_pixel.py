"""Drops as a dual-pixel sensor sees them: a left and a right view, one half of the aperture each.

What is in focus falls on the same pixel in both views; drops on the glass are blurred by mirrored
half discs and so lie apart by a distance that grows with the circle of confusion.
"""

from dataclasses import dataclass

import numpy as np

from rainclear.rain.camera import Camera
from rainclear.rain.defocus import half_disc_kernels
from rainclear.rain.drops import DropParams, Drops
from rainclear.rain.streaks import Float

__all__ = ["DualPixelFrame", "half_disc_kernels", "random_dual_drops", "render_halves"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DualPixelFrame:
    """Both views of one frame through wet glass; pictures H×W×C float32 in [0, 1].

    Attributes:
        left: Seen through the left half of the aperture.
        right: Seen through the right half.
        combined: Mean of both: the picture of the whole aperture.
        mask_left: Opacity of the drops in the left view, H×W in [0, 1].
        mask_right: The same in the right view.
    """

    left: Float
    right: Float
    combined: Float
    mask_left: Float
    mask_right: Float


def _left(diameter: float) -> Float:
    return half_disc_kernels(diameter)[0]


def _right(diameter: float) -> Float:
    return half_disc_kernels(diameter)[1]


def render_halves(drops: Drops, scene: Float) -> DualPixelFrame:
    """Look at a scene in focus (H×W×C in [0, 1]) through both halves; advances by one frame."""
    behind, water = drops.behind(scene), drops.layer(scene)
    left, mask_left = drops.compose(behind, water, _left)
    right, mask_right = drops.compose(behind, water, _right)
    drops.advance()
    return DualPixelFrame(
        left=left,
        right=right,
        combined=np.asarray((left + right) / 2, np.float32),
        mask_left=mask_left.copy(),
        mask_right=mask_right.copy(),
    )


def random_dual_drops(height: int, width: int, rng: np.random.Generator) -> Drops:
    """Drops on glass before a dual-pixel camera, in the ranges of the DPRRN data.

    Glass 50 to 250 mm away, background in focus at 4 to 8 m, tilt and contact angle 30° to 45°,
    radius 1.5 to 6 mm. The circle of confusion is chosen by what is seen: 0.4 to 1.5 times the
    radius of a drop in the picture, so that the two views differ.

    Args:
        height: Height of the picture in pixels.
        width: Width in pixels.
        rng: Source of all randomness, that of the drops too.
    """
    distance = float(rng.uniform(50, 250))
    radius = float(rng.uniform(1.5, 3.5))  # a median: drops spread to 6 mm around it
    seen = float(np.exp(rng.uniform(np.log(4.0), np.log(22.0))))
    focal, focus = seen * distance / radius, float(rng.uniform(4, 8))
    blur = seen * float(np.exp(rng.uniform(np.log(0.4), np.log(1.5))))
    camera = Camera(
        height=height,
        width=width,
        focal=focal,
        cx=width / 2 + float(rng.uniform(-0.2, 0.2)) * focal,
        cy=height / 2 + float(rng.uniform(-0.2, 0.2)) * focal,
        aperture=blur / (focal * (1e3 / distance - 1 / focus)),
        focus=focus,
    )
    params = DropParams(
        coverage=float(rng.uniform(0.03, 0.35)),
        radius=radius,
        spread=float(rng.uniform(0.2, 0.4)),
        contact_angle=float(rng.uniform(30, 45)),
        glass_distance=distance,
        tilt=float(rng.uniform(30, 45)),
        irregular=float(rng.uniform(0, 0.7)),
        rim=float(rng.uniform(0, 0.4)),
        highlight=float(rng.uniform(0, 0.3)),
        opacity=float(rng.uniform(0.85, 1)),
        sliding=0.0,
    )
    return Drops(params, camera, rng)
