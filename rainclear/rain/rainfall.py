"""Falling rain by physics: sizes, speeds and places of drops, drawn out by the exposure.

Drops fill the air with the sizes of Marshall and Palmer (1948), fall at terminal speed (Atlas et
al. 1973), are carried by the wind and met by the vehicle. Each one that the camera can tell from
its neighbours is projected at the beginning and at the end of the exposure; in between it covers a
pixel for a part of the exposure, so a streak is mostly transparent (Garg and Nayar 2007). Drops too
small or too far for that are left to the veil.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.rain.camera import Camera
from rainclear.rain.streaks import Float

__all__ = ["Fall", "Rainfall", "RainfallParams", "drop_density", "terminal_speed"]

Array = npt.NDArray[np.float64]

SMALLEST, LARGEST = 0.5, 6.0
"""Diameters in mm: smaller drops are mist, larger ones break up."""
_VISIBLE = 0.4
"""Diameter in pixels below which a drop belongs to the veil."""
_FARTHEST = 60.0
_LEVELS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class RainfallParams:
    """The weather, and how the vehicle meets it.

    Attributes:
        rate: Rain rate in mm/h: drizzle 1, moderate 5 to 10, heavy 25, cloudburst 60 and more.
        speed: Speed of the vehicle in km/h, straight ahead.
        wind: Wind across the view in m/s, positive to the right.
        turbulence: Standard deviation of the drops' own sideways speed in m/s.
        light: Radiance of a drop, in that of the sky. A drop gathers light from most of the sky,
            parts of which are brighter than what is in the picture: rain shows before dark things
            and hardly before the sky.
        headlights: Radiance of a drop one metre ahead in the vehicle's own lights, in that of the
            sky; it falls with the square of the distance.
        near: Distance in metres of the nearest drops: the windscreen and the bonnet keep others
            away.
    """

    rate: float = 10.0
    speed: float = 0.0
    wind: float = 0.0
    turbulence: float = 0.3
    light: float = 3.0
    headlights: float = 0.0
    near: float = 0.4


def drop_density(diameter: Array, rate: float) -> Array:
    """Drops per cubic metre and mm of diameter, N(D) = 8000 exp(−4.1 R^−0.21 D).

    Args:
        diameter: Diameters D in mm.
        rate: Rain rate R in mm/h; must be positive.
    """
    return np.asarray(8000.0 * np.exp(-4.1 * rate**-0.21 * diameter))


def terminal_speed(diameter: Array) -> Array:
    """Speed in m/s at which drops of ``diameter`` mm (0.5 to 6) fall, 9.65 − 10.3 exp(−0.6 D)."""
    return np.asarray(9.65 - 10.3 * np.exp(-0.6 * diameter))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fall:
    """The drops of one frame, N each.

    Attributes:
        diameter: In mm.
        depth: Distance along the optical axis in metres, in the middle of the exposure.
        start: Pixel (x, y) at the beginning of the exposure, N×2.
        end: Pixel at its end, N×2.
        width: Diameter of the drop's picture in pixels, in focus.
        radiance: Brightness; 1 is that of the sky.
    """

    diameter: Array
    depth: Array
    start: Array
    end: Array
    width: Array
    radiance: Array

    @property
    def length(self) -> Array:
        """Length of each streak in pixels."""
        return np.asarray(np.hypot(*(self.end - self.start).T))


class Rainfall:
    """A source of falling rain for one clip; each call of :meth:`render` is the next frame.

    Args:
        params: The weather.
        camera: Who looks.
        rng: Source of all randomness: the same seed gives the same clip.
    """

    def __init__(self, params: RainfallParams, camera: Camera, rng: np.random.Generator) -> None:
        self.params, self.camera, self.rng = params, camera, rng
        self._gust = 0.0
        self._sizes = np.linspace(SMALLEST, LARGEST, 49)
        self._depths = np.geomspace(params.near, _FARTHEST, 41)
        self._cells = self._expected()

    def _expected(self) -> Array:
        """Expected number of drops in each cell of size and depth, within reach of the picture."""
        camera, params = self.camera, self.params
        size = 0.5 * (self._sizes[1:] + self._sizes[:-1])[:, None]
        depth = np.sqrt(self._depths[1:] * self._depths[:-1])[None, :]
        if params.rate <= 0:
            return np.zeros((size.shape[0], depth.shape[1]))
        pad = self._reach(size, depth)
        area = (camera.width + 2 * pad) * (camera.height + 2 * pad) * (depth / camera.focal) ** 2
        volume = area * np.diff(self._depths)[None, :]
        number = drop_density(size, params.rate) * np.diff(self._sizes)[:, None] * volume
        return np.where(camera.focal * size * 1e-3 / depth >= _VISIBLE, number, 0.0)

    def _reach(self, size: Array, depth: Array) -> Array:
        """Half of the way in pixels that a drop goes in one exposure: how far outside it counts."""
        camera, params = self.camera, self.params
        sideways = np.hypot(terminal_speed(size), abs(params.wind) + 2 * params.turbulence)
        ahead = params.speed / 3.6 * max(camera.width, camera.height) / camera.focal
        return np.asarray(0.6 * camera.exposure * camera.focal * (sideways + ahead) / depth) + 2

    def fall(self) -> Fall:
        """The drops of the next frame."""
        camera, params, rng = self.camera, self.params, self.rng
        self._gust = 0.9 * self._gust + float(rng.normal()) * 0.4 * params.turbulence
        counts = rng.poisson(self._cells)
        row, column = np.nonzero(counts)
        many = counts[row, column]
        row, column = np.repeat(row, many), np.repeat(column, many)
        n = len(row)
        u = rng.random((5, n))
        diameter = self._sizes[row] + u[0] * (self._sizes[row + 1] - self._sizes[row])
        depth = self._depths[column] + u[1] * (self._depths[column + 1] - self._depths[column])
        pad = self._reach(diameter, depth)
        x = u[2] * (camera.width + 2 * pad) - pad
        y = u[3] * (camera.height + 2 * pad) - pad
        # Half of the exposure's movement, metres, in the camera's frame.
        half = 0.5 * camera.exposure
        sideways = params.wind + self._gust + params.turbulence * rng.standard_normal(n)
        dx = half * sideways
        dy = half * terminal_speed(diameter)
        dz = np.minimum(half * params.speed / 3.6, 0.8 * depth)
        x3, y3 = (x - camera.cx) / camera.focal * depth, (y - camera.cy) / camera.focal * depth
        points = []
        for sign in (-1.0, 1.0):  # the vehicle drives towards the drop: its depth shrinks
            scale = camera.focal / (depth - sign * dz)
            points.append(
                np.stack(
                    [
                        (x3 + sign * dx) * scale + camera.cx,
                        (y3 + sign * dy) * scale + camera.cy,
                    ],
                    1,
                )
            )
        radiance = (params.light + params.headlights / depth**2) * np.exp(
            0.35 * rng.standard_normal(n)
        )
        return Fall(
            diameter=diameter,
            depth=depth,
            start=points[0],
            end=points[1],
            width=camera.focal * diameter * 1e-3 / depth,
            radiance=radiance,
        )

    def render(self) -> tuple[Float, Float]:
        """The next frame's rain.

        Returns:
            Coverage, H×W in [0, 1]: the share of the exposure for which drops hid the pixel; and
            glow, H×W ≥ 0: the light that they sent there, where 1 is that of the sky.
            Both are linear in light.
        """
        fall = self.fall()
        if len(fall.radiance) == 0:
            nothing = np.zeros((self.camera.height, self.camera.width), np.float32)
            return nothing, nothing
        glow = _splat(fall, self.camera)
        # The area in all is the light in all over the mean radiance; taken so for every pixel.
        area = fall.width**2
        brightness = float((area * fall.radiance).sum() / area.sum())
        return 1.0 - np.exp(-glow / max(brightness, 1e-6)), glow


def _splat(fall: Fall, camera: Camera) -> Float:
    """Light of all streaks; each sends the drop's area (π/4 · width²) times its radiance in all.

    Wide or blurred streaks are drawn on coarser canvases and brought up, thin ones on the picture.
    """
    total = np.zeros((camera.height, camera.width), np.float32)
    spread = np.hypot(
        fall.width, camera.aperture * camera.focal * np.abs(1 / fall.depth - 1 / camera.focus)
    )
    level = np.clip(np.round(np.log2(np.maximum(spread, 1.0))), 0, _LEVELS - 1).astype(int)
    mass = 0.25 * np.pi * fall.width**2 * fall.radiance
    for k in range(_LEVELS):
        chosen = level == k
        if not chosen.any():
            continue
        step = 2.0**k
        rows, cols = -(-camera.height // 2**k) + 2, -(-camera.width // 2**k) + 2
        start = (fall.start[chosen] + 0.5) / step + 0.5
        end = (fall.end[chosen] + 0.5) / step + 0.5
        canvas = _draw(start, end, mass[chosen] / step**2, rows, cols)
        if k:
            size = (cols * 2**k, rows * 2**k)
            canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR)
        pad = 2**k
        total += canvas[pad : pad + camera.height, pad : pad + camera.width]
    return total


def _draw(start: Array, end: Array, mass: Array, rows: int, cols: int) -> Float:
    """Lines as rows of dots half a cell apart, each shared by the four cells around it."""
    way = end - start
    dots = np.maximum(2, np.ceil(1.5 * np.hypot(*way.T)).astype(np.int64))
    owner = np.repeat(np.arange(len(dots)), dots)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(dots) - dots, dots)
    share = ((number + 0.5) / dots[owner])[:, None]
    place = start[owner] + share * way[owner]
    inside = ((place >= 0) & (place < (cols - 1, rows - 1))).all(1)
    place, owner = place[inside], owner[inside]
    light = mass[owner] / dots[owner]
    corner = place.astype(np.int64)
    right, down = (place - corner).T
    cell = corner[:, 1] * cols + corner[:, 0]
    low, high = light * down, light * (1 - down)
    canvas = np.zeros(rows * cols)
    for offset, part in (
        (0, high * (1 - right)),
        (1, high * right),
        (cols, low * (1 - right)),
        (cols + 1, low * right),
    ):
        canvas += np.bincount(cell + offset, weights=part, minlength=rows * cols)
    return canvas.reshape(rows, cols).astype(np.float32)
