"""Rain streaks: falling drops drawn out by the exposure, in layers of several depths.

Two families. ``lines`` draws each streak: sharp, of chosen length and direction, opening out from
the vanishing point when the vehicle moves. ``noise`` is the layered noise model of the public data
sets: sparse noise blurred along the direction of the fall. Streaks of consecutive frames are drawn
anew: at 25 frames a second a drop falls out of its own streak between two frames.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Float", "StreakLayer", "Streaks"]

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class StreakLayer:
    """Streaks of one depth.

    Attributes:
        family: ``lines`` or ``noise``.
        density: Share of the picture that streaks of this layer cover, 0..1.
        length: Mean length of a streak in pixels.
        width: Width of a streak in pixels (standard deviation of its cross profile × 2).
        angle: Direction of the fall in degrees from straight down, positive to the right.
        wander: How far the direction drifts from frame to frame, in degrees.
        opacity: How much of the scene the brightest streak hides, 0..1.
        opening: Change of direction away from the vanishing point, degrees at the picture's edge.
        haze: Share of the opacity that lies between the streaks too, 0..1 (``noise`` only): dense
            rain of the public sets brightens all of the picture.
        patchiness: How much the rain's strength varies over the picture, 0..1.
    """

    family: Literal["lines", "noise"] = "lines"
    density: float = 0.05
    length: float = 24.0
    width: float = 1.2
    angle: float = 5.0
    wander: float = 1.0
    opacity: float = 0.6
    opening: float = 0.0
    haze: float = 0.0
    patchiness: float = 0.0


def _line_kernel(length: float, angle: float) -> Float:
    """Motion-blur kernel of unit sum: a straight line of ``length`` pixels, antialiased."""
    size = max(3, int(np.ceil(length)) | 1)
    kernel = np.zeros((size, size), np.uint8)
    middle = (size - 1) / 2
    dx, dy = np.sin(np.radians(angle)) * length / 2, np.cos(np.radians(angle)) * length / 2
    ends = np.array([[middle - dx, middle - dy], [middle + dx, middle + dy]])
    first, last = (tuple(int(v * 16) for v in end) for end in ends)
    cv2.line(kernel, first, last, 255, 1, cv2.LINE_AA, 4)
    total = kernel.astype(np.float32)
    return total / max(float(total.sum()), 1.0)


class Streaks:
    """A source of streak pictures for one clip; each call of :meth:`render` is the next frame.

    Args:
        layers: The depth layers, any order.
        height: Height of the pictures in pixels.
        width: Width in pixels.
        rng: Source of all randomness: the same seed gives the same clip.
        vanishing_point: (x, y) in pixels that streaks open out from; the centre by default.
    """

    def __init__(
        self,
        layers: list[StreakLayer],
        height: int,
        width: int,
        rng: np.random.Generator,
        *,
        vanishing_point: tuple[float, float] | None = None,
    ) -> None:
        self.layers, self.height, self.width, self.rng = layers, height, width, rng
        self.vanishing_point = vanishing_point or (width / 2, height / 2)
        self._drift = 0.0
        self._patches = [
            self._patch(layer.patchiness) if layer.patchiness > 0 else None for layer in layers
        ]

    def _patch(self, strength: float) -> Float:
        """Smooth field H×W in [1 − strength, 1]: where the rain falls thick and where thin."""
        corners = self.rng.random((3, 4), dtype=np.float32)
        field = cv2.resize(corners, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(1.0 - strength * np.clip(field, 0.0, 1.0), np.float32)

    def render(self) -> Float:
        """Opacity of all streaks of the next frame, H×W in [0, 1]."""
        self._drift = 0.9 * self._drift + float(self.rng.normal())
        clear = np.ones((self.height, self.width), np.float32)
        for layer, patch in zip(self.layers, self._patches, strict=True):
            draw = self._lines if layer.family == "lines" else self._noise
            alpha = draw(layer, layer.angle + layer.wander * self._drift)
            if patch is not None:
                alpha *= patch
            clear *= 1.0 - layer.opacity * alpha
        return 1.0 - clear

    def _lines(self, layer: StreakLayer, angle: float) -> Float:
        area = self.height * self.width
        count = int(self.rng.poisson(layer.density * area / (layer.length * max(layer.width, 1.0))))
        canvas = np.zeros((self.height, self.width), np.uint8)
        if count == 0:
            return canvas.astype(np.float32)
        rng = self.rng
        x = rng.uniform(-layer.length, self.width + layer.length, count)
        y = rng.uniform(-layer.length, self.height + layer.length, count)
        length = layer.length * np.clip(rng.lognormal(0.0, 0.35, count), 0.3, 2.5)
        theta = np.radians(angle + rng.normal(0.0, 1.5, count))
        dx, dy = np.sin(theta), np.cos(theta)
        if layer.opening:
            vx, vy = self.vanishing_point
            reach = np.tan(np.radians(layer.opening)) / (0.5 * np.hypot(self.height, self.width))
            dx, dy = dx + reach * (x - vx), dy + reach * (y - vy)
        ends = np.stack([x, y, x + length * dx, y + length * dy], 1).reshape(-1, 2, 2)
        ends = np.round(ends * 16).astype(np.int32)
        thickness = 1 if layer.width < 1.6 else round(layer.width * 0.7)
        levels = 5
        for i in range(levels):  # one call a brightness: polylines takes many streaks at once
            shade = int(255 * (0.35 + 0.65 * (i + 1) / levels))
            cv2.polylines(
                canvas, list(ends[i::levels]), False, shade, thickness, cv2.LINE_AA, shift=4
            )
        soft = canvas.astype(np.float32) / 255.0
        sigma = 0.35 * layer.width
        return cv2.GaussianBlur(soft, (0, 0), sigma) if sigma > 0.3 else soft

    def _noise(self, layer: StreakLayer, angle: float) -> Float:
        if layer.density <= 0:
            return np.zeros((self.height, self.width), np.float32)
        pad = int(layer.length / 2) + 1
        scale = max(1.0, layer.width)
        rows = int((self.height + 2 * pad) / scale) + 2
        cols = int((self.width + 2 * pad) / scale) + 2
        seeds = self.rng.random((rows, cols), dtype=np.float32)
        share = min(0.5, layer.density * scale / max(layer.length, scale) * 4)
        sparse = np.maximum(0.0, (seeds - (1.0 - share)) / share)
        if scale > 1.0:
            size = (int(cols * scale), int(rows * scale))
            sparse = cv2.resize(sparse, size, interpolation=cv2.INTER_LINEAR)
        blurred = cv2.filter2D(sparse, -1, _line_kernel(layer.length, angle))
        inner = blurred[pad : pad + self.height, pad : pad + self.width]
        low = float(np.percentile(inner[::4, ::4], 100 * (1 - min(0.9, 2.5 * layer.density))))
        high = float(np.percentile(inner[::4, ::4], 99.7))
        streaks = np.clip((inner - low) / max(high - low, 1e-4), 0.0, 1.0)
        return np.asarray(layer.haze + (1.0 - layer.haze) * streaks, np.float32)
