"""Drops as picture editors and public generators draw them: little lenses, soft at the rim.

Nothing here is optics: a drop shows its own surroundings, made smaller or larger, mirrored or not,
blurred and brighter or darker. Other generators draw such drops, and a network that has only seen
the water of :mod:`rainclear.rain.drops` leaves most of them in.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rainclear.rain.streaks import Float

__all__ = ["PaintedDrops", "PaintedParams"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PaintedParams:
    """Drawn drops; they stay where they are.

    Attributes:
        coverage: Sum of the drops' areas over the picture's; where they overlap, both count.
        radius: Median radius in pixels.
        spread: Standard deviation of ln(radius).
        zoom: Median number of radii of the scene that a drop shows across one of its own (they
            differ by 20 %): over 1 it shrinks what is behind it, under 1 it enlarges. Negative:
            upside down and mirrored. Exactly 1: the drops leave it in place.
        blur: Standard deviation of the blur of what the drop shows, in its median radii.
        feather: Share of the radius over which the drop fades out, 0 (sharp) to 1.
        light: Median factor of brightness inside (drops differ by 8 %).
        glow: Whiteness laid over the inside, 0..1.
        rim: Factor of brightness at the edge is 1 - rim; negative for a bright edge.
        opacity: Opacity of the middle, 0..1.
        elongation: Largest height over width.
    """

    coverage: float = 0.1
    radius: float = 10.0
    spread: float = 0.4
    zoom: float = -4.0
    blur: float = 0.15
    feather: float = 0.3
    light: float = 1.0
    glow: float = 0.0
    rim: float = 0.0
    opacity: float = 1.0
    elongation: float = 1.4


class PaintedDrops:
    """The drawn drops of one clip.

    Args:
        params: Kind and number of drops.
        height: Height of the pictures in pixels.
        width: Width in pixels.
        rng: Source of all randomness.
    """

    def __init__(
        self, params: PaintedParams, height: int, width: int, rng: np.random.Generator
    ) -> None:
        self.params = params
        self._y, self._x = (a.astype(np.float32) for a in np.mgrid[:height, :width])
        self._light = np.ones((height, width), np.float32)
        #: Opacity of the drops, H×W in [0, 1].
        self.alpha: Float = np.zeros((height, width), np.float32)
        covered = 0.0
        while covered < params.coverage * height * width:
            radius = max(1.5, params.radius * float(np.exp(rng.normal(0, params.spread))))
            tall = float(rng.uniform(min(1.0, params.elongation), max(1.0, params.elongation)))
            self._draw(
                rng, radius, tall, float(rng.uniform(0, width)), float(rng.uniform(0, height))
            )
            covered += np.pi * radius * radius * tall

    def _draw(
        self, rng: np.random.Generator, radius: float, tall: float, x: float, y: float
    ) -> None:
        p, (height, width) = self.params, self.alpha.shape
        phase, lobes = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 0.15))
        fade = max(p.feather, 1.0 / radius)
        reach = radius * max(tall, 1.0) * (1 + lobes) * (1 + fade / 2) + 1
        top, bottom = int(max(0, y - reach)), int(min(height, y + reach + 1))
        left, right = int(max(0, x - reach)), int(min(width, x + reach + 1))
        v, u = np.mgrid[top:bottom, left:right].astype(np.float32)
        u, v = (
            (u - np.float32(x)) / np.float32(radius),
            (v - np.float32(y)) / np.float32(radius * tall),
        )
        away = np.hypot(u, v) / (1 + lobes * np.cos(3 * np.arctan2(v, u) + phase))
        alpha = np.float32(p.opacity) * np.clip((1 - away) / fade + 0.5, 0, 1).astype(np.float32)
        here = np.s_[top:bottom, left:right]
        ours = alpha >= self.alpha[here]
        differs = np.exp(rng.normal(0, 0.2)) if p.zoom != 1 else 1.0
        zoom = np.float32(p.zoom * differs * radius)
        self._x[here][ours] = (x + zoom * u)[ours]
        self._y[here][ours] = (y + zoom * np.float32(tall) * v)[ours]
        light = p.light * np.exp(rng.normal(0, 0.08)) * (1 - p.rim * np.clip(away, 0, 1) ** 3)
        self._light[here][ours] = light[ours]
        np.maximum(self.alpha[here], alpha, out=self.alpha[here])

    def render(self, scene: Float) -> Float:
        """The scene H×W×C in [0, 1] behind the drops."""
        p = self.params
        sigma = p.blur * p.radius
        soft = cv2.GaussianBlur(scene, (0, 0), sigma) if sigma > 0.3 else scene
        inside = cv2.remap(
            soft, self._x, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        inside *= self._light[..., None]
        inside += np.float32(p.glow) * (1 - inside)
        seen = scene + self.alpha[..., None] * (inside - scene)
        return np.clip(seen, 0, 1, out=seen)
