"""Drops on the glass: water caps that bend the scene, out of focus, some of them sliding.

The water on the glass is one height map ``h``. It bends the ray through ``p`` towards its thick
side by an angle proportional to ``∇h`` (Snell, thin cap), so the pixel shows the scene at
``p + k·∇h``: inside a round drop that is the scene upside down and small. One map serves every
shape, merged drops and tails included, and changes only when drops move.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rainclear.rain.streaks import Float

__all__ = ["DropParams", "Drops"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DropParams:
    """What kind of drops sit on the glass.

    Attributes:
        coverage: Share of the glass under water, 0..1.
        radius: Median radius of a drop in pixels.
        spread: Standard deviation of the logarithm of the radius.
        refraction: How strongly a drop bends: beyond 1 it shows the scene upside down, and real
            drops are at 3 to 12 (a wide view, inverted and small).
        defocus: Blur of the drops in pixels (standard deviation): the focus is on the road.
        rim: Darkness of the rim, 0..1.
        highlight: Brightness of the sky's reflection in the drop, 0..1.
        sliding: Share of the drops that slide down.
        speed: Median speed of a sliding drop in pixels a frame.
        opacity: How much of the scene behind it a drop hides, 0..1.
    """

    coverage: float = 0.08
    radius: float = 14.0
    spread: float = 0.5
    refraction: float = 5.0
    defocus: float = 1.5
    rim: float = 0.4
    highlight: float = 0.2
    sliding: float = 0.1
    speed: float = 2.0
    opacity: float = 1.0


class Drops:
    """The drops of one clip; each call of :meth:`render` is the next frame.

    Args:
        params: Kind and number of drops.
        height: Height of the pictures in pixels.
        width: Width in pixels.
        rng: Source of all randomness.
    """

    def __init__(
        self, params: DropParams, height: int, width: int, rng: np.random.Generator
    ) -> None:
        self.params, self.height, self.width, self.rng = params, height, width, rng
        self._grid_x, self._grid_y = np.meshgrid(
            np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        )
        mean_area = np.pi * params.radius**2 * np.exp(2 * params.spread**2) * 1.2
        area = (height + 2 * params.radius) * (width + 2 * params.radius)
        count = int(rng.poisson(params.coverage * area / mean_area))
        self._caps = [cap for _ in range(count) for cap in self._new_drop()]
        moving = [cap for cap in self._caps if cap[4] > 0]
        still = [cap for cap in self._caps if cap[4] == 0]
        self._moving = np.array(moving, np.float32).reshape(-1, 7)
        self._still_height = self._paint(np.zeros((height, width), np.float32), still)
        self._optics = self._bend(self._still_height) if not moving else None

    @property
    def count(self) -> int:
        """Number of caps on the glass (a drop of irregular shape is several caps)."""
        return len(self._caps)

    def _new_drop(self) -> list[list[float]]:
        """One drop as merged caps: [x, y, radius, aspect, speed, flatness, drop's radius]."""
        p, rng = self.params, self.rng
        radius = float(p.radius * np.clip(rng.lognormal(0.0, p.spread), 0.25, 3.0))
        x = float(rng.uniform(-radius, self.width + radius))
        y = float(rng.uniform(-radius, self.height + radius))
        speed = 0.0
        if rng.random() < p.sliding:
            speed = float(p.speed * rng.lognormal(0.0, 0.5))
        flat = float(rng.uniform(0.8, 1.2))
        caps = [[x, y, radius, float(rng.uniform(0.75, 1.15)), speed, flat, radius]]
        for _ in range(int(rng.choice(3, p=[0.5, 0.3, 0.2]))):
            angle, away = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.4, 0.9)
            caps.append(
                [
                    x + float(away * np.cos(angle)),
                    y + float(away * np.sin(angle)),
                    radius * float(rng.uniform(0.4, 0.8)),
                    1.0,
                    speed,
                    flat,
                    radius,
                ]
            )
        if speed > 0:  # a tail of shrinking caps above a sliding drop
            for i in range(1, 5):
                shrunk = radius * (0.75 - 0.13 * i)
                caps.append([x, y - 0.8 * i * radius, shrunk, 1.0, speed, flat, radius])
        return caps

    def _paint(self, height_map: Float, caps: list[list[float]] | Float) -> Float:
        """Raise ``height_map`` to the caps' surfaces (maximum: touching drops merge)."""
        for x, y, r, aspect, _, flat, _ in caps:
            rx, ry = r * aspect, r
            x0, x1 = max(0, int(x - rx)), min(self.width, int(x + rx) + 2)
            y0, y1 = max(0, int(y - ry)), min(self.height, int(y + ry) + 2)
            if x0 >= x1 or y0 >= y1:
                continue
            u = (self._grid_x[y0:y1, x0:x1] - x) / rx
            v = (self._grid_y[y0:y1, x0:x1] - y) / ry
            cap = r * flat * np.maximum(0.0, 1.0 - u * u - v * v)
            np.maximum(height_map[y0:y1, x0:x1], cap, out=height_map[y0:y1, x0:x1])
        return height_map

    def _bend(self, height_map: Float) -> tuple[Float, Float, Float, Float, Float]:
        """Maps of a height map: sample x, sample y, opacity, shade, highlight."""
        p = self.params
        smooth = cv2.GaussianBlur(height_map, (0, 0), max(0.6, 0.06 * p.radius))
        slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
        slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
        # The slope of a cap is −2u, so p + k·r/2·∇h lies (k − 1) radii across its centre.
        bend = 0.5 * p.refraction * p.radius
        map_x = self._grid_x + bend * slope_x
        map_y = self._grid_y + bend * slope_y
        alpha = np.clip(smooth / (0.35 * p.radius), 0.0, 1.0) ** 0.7
        steep = np.minimum(1.0, 0.5 * np.hypot(slope_x, slope_y))
        shade = 1.0 - p.rim * steep**2
        # The sky lies below the centre of the inverted picture: light gathers at the lower rim.
        glint = p.highlight * np.clip(-0.6 * slope_y - 0.15, 0.0, 1.0) * alpha
        if p.defocus > 0.4:
            alpha, shade, glint = (
                cv2.GaussianBlur(m, (0, 0), p.defocus) for m in (alpha, shade, glint)
            )
        return map_x, map_y, p.opacity * alpha, shade, glint

    def _advance(self) -> None:
        stick_slip = self.rng.uniform(0.2, 1.8)
        self._moving[:, 1] += self._moving[:, 4] * stick_slip
        # All caps of a drop jump back equally far, so that it comes back in one piece.
        reach = 2 * self._moving[:, 6]
        below = self._moving[:, 1] > self.height + reach
        self._moving[below, 1] -= self.height + 2 * reach[below]

    def render(self, scene: Float) -> tuple[Float, Float]:
        """Look at ``scene`` (H×W×3 in [0, 1]) through the wet glass; advances by one frame.

        Returns:
            The picture H×W×3, and the opacity of the water H×W in [0, 1].
        """
        if not self._caps:
            return scene, np.zeros(scene.shape[:2], np.float32)
        optics = self._optics
        if optics is None:
            optics = self._bend(self._paint(self._still_height.copy(), self._moving))
            self._advance()
        map_x, map_y, alpha, shade, glint = optics
        bent = cv2.remap(scene, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if self.params.defocus > 0.4:
            bent = cv2.GaussianBlur(bent, (0, 0), self.params.defocus)
        bent = bent * shade[..., None] + glint[..., None]
        wet = scene + alpha[..., None] * (bent - scene)
        return np.clip(wet, 0.0, 1.0), alpha
