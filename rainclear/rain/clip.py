"""Rain over a clip: veil, streaks and drops together, coherent from frame to frame."""

from dataclasses import dataclass, field

import numpy as np

from rainclear.rain.camera import Camera, Optics
from rainclear.rain.drops import DropParams, Drops
from rainclear.rain.dual_pixel import render_halves
from rainclear.rain.masks import soft_mask
from rainclear.rain.painted import PaintedDrops, PaintedParams
from rainclear.rain.rainfall import Rainfall, RainfallParams
from rainclear.rain.streaks import Float, StreakLayer, Streaks
from rainclear.rain.veil import add_veil, road_depth, transmission

__all__ = ["MASK_FULL_SCALE", "RainClip", "RainParams", "RainyFrame"]

MASK_FULL_SCALE = 0.3
"""Difference of intensity that a soft mask counts as full rain (1.0)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RainParams:
    """All that defines the rain of one clip, apart from the seed.

    Attributes:
        rainfall: Falling rain by physics, or ``None``.
        layers: Streaks as the public data sets draw them, over it.
        drops: Drops on the glass, or ``None``.
        painted: Drops as picture editors draw them, behind those, or ``None``.
        veil: Strength of the veil: optical depth at the horizon (0 = none).
        airlight: Brightness of the veil, 0..1.
        streak_light: Brightness of the streaks, 0..1.
        tint: Colour of the airlight, RGB factors around 1.
        horizon: Height of the horizon from the top, in picture heights.
        span: Height of the pictures in those of the whole frames, where they are crops.
        additive: Streaks of the layers add light instead of covering the scene.
        optics: Camera that sees it, for rainfall and drops.
    """

    rainfall: RainfallParams | None = None
    layers: tuple[StreakLayer, ...] = ()
    drops: DropParams | None = None
    painted: PaintedParams | None = None
    veil: float = 0.0
    airlight: float = 0.85
    streak_light: float = 0.85
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    horizon: float = 0.45
    span: float = 1.0
    additive: bool = False
    optics: Optics = field(default_factory=Optics)

    @property
    def rate(self) -> float | None:
        """Rain rate in mm/h, where the rain falls by physics."""
        return self.rainfall.rate if self.rainfall else None


@dataclass(frozen=True, kw_only=True, slots=True)
class RainyFrame:
    """One frame with its ground truth; pictures are H×W×3 float32 RGB in [0, 1].

    Attributes:
        rainy: Streaks, veil and drops together.
        drop_only: The clean scene through the wet glass, without streaks and veil.
        clean: The scene.
        streak_mask: |rainy − drop_only| as a soft mask, H×W in [0, 1].
        drop_mask: |drop_only − clean| as a soft mask, H×W in [0, 1].
        left: What the left half of a dual-pixel sensor sees of ``rainy``, where asked for.
        right: The same of the right half; ``rainy`` is the mean of both.
    """

    rainy: Float
    drop_only: Float
    clean: Float
    streak_mask: Float
    drop_mask: Float
    left: Float | None = None
    right: Float | None = None


class RainClip:
    """Rains on one clip, frame by frame.

    Args:
        params: Kind and strength of the rain.
        height: Height of the pictures in pixels.
        width: Width in pixels.
        seed: Seed of all randomness: the same seed and frames give the same rain, bit for bit.
        camera: Camera of these pictures where they are a crop; by default one with the optics of
            ``params`` that looks straight ahead.
        dual_pixel: Give both halves of a dual-pixel sensor too.
    """

    def __init__(
        self,
        params: RainParams,
        height: int,
        width: int,
        *,
        seed: int,
        camera: Camera | None = None,
        dual_pixel: bool = False,
    ) -> None:
        self.params, self.seed, self.dual_pixel = params, seed, dual_pixel
        self.camera = camera or Camera.of(params.optics, height, width)
        streak_rng, drop_rng, veil_rng, fall_rng, paint_rng = np.random.default_rng(seed).spawn(5)
        self._rainfall = (
            Rainfall(params.rainfall, self.camera, fall_rng) if params.rainfall else None
        )
        vanishing_point = (width / 2, params.horizon * height)
        self._streaks = Streaks(
            list(params.layers), height, width, streak_rng, vanishing_point=vanishing_point
        )
        self._drops = Drops(params.drops, self.camera, drop_rng) if params.drops else None
        self._painted = (
            PaintedDrops(params.painted, height, width, paint_rng) if params.painted else None
        )
        self._air = np.clip(np.array(params.tint) * params.airlight, 0, 1).astype(np.float32)
        self._glow = np.square(self._air / self._air.max())
        self._brightest: float | None = None
        self._transmission: Float | None = None
        self._light = np.clip(np.array(params.tint) * params.streak_light, 0, 1).astype(np.float32)
        if params.veil > 0:
            depth = road_depth(
                height, width, horizon=params.horizon, span=params.span, rng=veil_rng
            )
            self._transmission = transmission(depth, params.veil)

    def _sky(self, light: Float) -> np.float32:
        """Radiance of the sky: the brightest twentieth of the scene, followed slowly."""
        sky = np.percentile(light[::4, ::4].max(2), 95)
        last = sky if self._brightest is None else self._brightest
        self._brightest = 0.9 * last + 0.1 * sky
        return np.float32(max(self._brightest, 0.02))

    def _fall(self, scene: Float) -> Float:
        if self._transmission is not None:
            scene = add_veil(scene, self._transmission, self._air)
        if self._rainfall is not None:
            covered, glow = self._rainfall.render()
            # Linear in light, with a gamma of 2.
            light = scene * scene
            colour = self._glow * self._sky(light)
            light *= 1.0 - covered[..., None]
            light += glow[..., None] * colour
            scene = np.sqrt(np.minimum(light, 1.0, out=light), out=light)
        if not self.params.layers:
            return scene
        alpha = self._streaks.render()[..., None]
        if self.params.additive:
            rainy = np.minimum(scene + alpha * self._light, 1.0)
        else:
            # A falling drop gathers light from half the sky: mostly brighter than what it hides.
            light = np.maximum(0.8 * self._light + 0.2 * scene, scene)
            rainy = scene + alpha * (light - scene)
        return np.asarray(rainy, np.float32)

    def __call__(self, clean: Float) -> RainyFrame:
        """Rain on the next frame, H×W×3 float32 in [0, 1]."""
        rainy, drop_only = self._fall(clean), clean
        left = right = None
        if self._painted is not None or self._drops is not None:
            both = np.concatenate([rainy, clean], axis=2)  # one look through the glass for both
            if self._painted is not None:
                both = self._painted.render(both)
            if self._drops is not None and self.dual_pixel:
                halves = render_halves(self._drops, both)
                both, left, right = halves.combined, halves.left[..., :3], halves.right[..., :3]
            elif self._drops is not None:
                both, _ = self._drops.render(both)
            rainy, drop_only = both[..., :3], both[..., 3:]
        if self.dual_pixel and left is None:
            left = right = rainy
        return RainyFrame(
            rainy=rainy,
            drop_only=drop_only,
            clean=clean,
            streak_mask=soft_mask(rainy, drop_only, full_scale=MASK_FULL_SCALE),
            drop_mask=soft_mask(drop_only, clean, full_scale=MASK_FULL_SCALE),
            left=left,
            right=right,
        )
