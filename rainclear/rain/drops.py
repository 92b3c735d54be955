"""Drops on the glass: caps of water that bend the scene, out of focus, some of them running.

Water on the glass is one surface of spherical caps. The ray of a pixel leaves it by Snell's law
(:mod:`rainclear.rain.glass`) towards a background at infinity, so a drop shows a wide piece of the
scene, small and upside down, with a dark rim where Fresnel's transmittance falls. The layer of
water is blurred by the camera's circle of confusion at the glass and laid over the sharp scene.
Optics are computed where there is water only, and anew only when water moved.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.rain.camera import Camera
from rainclear.rain.defocus import Aperture, defocus, disc_kernel, shrink
from rainclear.rain.glass import CAP, DRY, Caps, paint, refract, slopes
from rainclear.rain.streaks import Float

__all__ = ["DropParams", "Drops"]

_MOST = 6000
_SMALLEST = 0.35
_AIRFLOW = 70.0
"""Speed in km/h at which the airflow holds a drop of 1 mm against its weight."""
_RUN = 40.0
"""Speed in mm/s at which a drop of 1 mm runs down upright glass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DropParams:
    """Water on the glass, in real units.

    Attributes:
        coverage: Share of the glass under drops, 0..0.9. At most 6000 drops are drawn: very fine
            drops on a large picture stay below it.
        radius: Median radius of the base of a drop in mm.
        spread: Standard deviation of the logarithm of the radius.
        contact_angle: Angle between water and glass at the rim in degrees, 5..80; drops differ
            by ±20 %.
        glass_distance: Of the glass from the entrance pupil along the axis, in mm: 10 to 30 for
            the cover of a lens, 50 to 1200 for a windscreen.
        tilt: Of the glass from upright in degrees, its top towards the camera.
        irregular: How far outlines are from circles, 0..1: lobes, and companions that ran into it.
        rim: Darkness of the rim beyond what the optics give, 0..1.
        highlight: Brightness of the sky gathered in the lower rim, 0..1.
        opacity: How much of what is straight behind it a drop hides, 0..1.
        tint: Share of the light that dirt in the water takes, 0..1.
        film: Thin uneven film of water between the drops, 0..1: it blurs and lightens a bit.
        sliding: Share of the drops that run.
        growth: Growth of the radius by new rain in mm/s; new drops appear as well, with a wiper so
            many that the glass is wet again when it comes back.
        speed: Of the vehicle in km/h. Drops run by weight and airflow, ``40·r·cos(tilt) −
            40·(speed/70)²`` mm/s downwards (r in mm) and outwards from the middle of the glass.
        wiper: Period of the wiper in s, 0 for none. The blade clears an arc and leaves a streaky
            film; the blade itself is not drawn.
    """

    coverage: float = 0.08
    radius: float = 1.2
    spread: float = 0.45
    contact_angle: float = 40.0
    glass_distance: float = 250.0
    tilt: float = 30.0
    irregular: float = 0.4
    rim: float = 0.2
    highlight: float = 0.15
    opacity: float = 1.0
    tint: float = 0.05
    film: float = 0.0
    sliding: float = 0.1
    growth: float = 0.0
    speed: float = 0.0
    wiper: float = 0.0


@dataclass(frozen=True, slots=True)
class _Optics:
    """What the water does to the picture, for the n pixels that are wet (padded to rows of 256)."""

    index: np.ndarray
    x: Float
    y: Float
    alpha: Float
    light: Float
    glint: Float
    shrink: int


def _fold(at: Float, size: int) -> Float:
    """Columns or rows outside a picture, mirrored into it ever more slowly: nothing repeats."""
    reach = np.float32(0.3 * size)
    below, above = np.maximum(-at, 0), np.maximum(at - (size - 1), 0)
    inside = np.clip(at, 0, size - 1)
    folded = inside + reach * (np.exp(-above / reach) - np.exp(-below / reach))
    return np.asarray(folded, np.float32)


class Drops:
    """The drops of one clip; each call of :meth:`render` is the next frame.

    Args:
        params: Kind and number of drops.
        camera: Who looks through the glass.
        rng: Source of all randomness: the same seed gives the same frames, bit for bit.
        caps: The drops of the first frame (see :data:`~rainclear.rain.glass.CAP`) instead of
            random ones.
    """

    def __init__(
        self,
        params: DropParams,
        camera: Camera,
        rng: np.random.Generator,
        *,
        caps: Caps | None = None,
    ) -> None:
        self.params, self.camera, self.rng = params, camera, rng
        self._tilt = float(np.radians(params.tilt))
        rows = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.focal
        #: Distance of the glass in each row, in metres.
        self.distance = self._distance(rows)
        self.caps = self._scatter() if caps is None else caps
        self._full = len(self.caps) + 20
        self._time = 0.0
        self._optics: _Optics | None = None
        self._still: Float | None = None
        self._soft: dict[Aperture, Float] = {}
        self._streaky: Float | None = None
        self._film = self._uneven() if params.film > 0 else None

    @property
    def count(self) -> int:
        """Number of drops on the glass, those that ran together counted singly."""
        return len(self.caps)

    @property
    def diameters(self) -> Float:
        """Diameter in pixels of the glass's circle of confusion in each row.

        Positive: the glass is nearer than the focus; negative: farther.
        """
        inverse = 1 / self.distance - 1 / self.camera.focus
        return np.asarray(self.camera.aperture * self.camera.focal * inverse, np.float32)

    def _distance(self, y: npt.ArrayLike) -> Float:
        lean = np.clip(1 - np.asarray(y) * np.tan(self._tilt), 0.4, 2.5)
        return np.asarray(1e-3 * self.params.glass_distance / lean, np.float32)

    def _scale(self, y: Float | float) -> Float:
        """Pixels per mm on the glass at a row of the picture."""
        away = self._distance(np.float32((y - self.camera.cy) / self.camera.focal))
        return np.asarray(1e-3 * self.camera.focal / away, np.float32)

    def _new(self, count: int) -> Caps:
        """Drops anywhere on the glass, a little beyond the picture too."""
        p, rng, camera = self.params, self.rng, self.camera
        caps = np.zeros(count, CAP)
        radius = np.clip(rng.lognormal(0, p.spread, count), 0.2, 4)
        # Between large drops lies the mist of those that came last.
        radius *= np.where(rng.random(count) < 0.5, rng.uniform(0.15, 0.5, count), 1)
        margin = self._margin
        caps["x"] = rng.uniform(-margin, camera.width + margin, count)
        caps["y"] = rng.uniform(-margin, camera.height + margin, count)
        caps["radius"] = np.maximum(p.radius * radius * self._scale(caps["y"]), _SMALLEST)
        degrees = np.clip(p.contact_angle * rng.uniform(0.8, 1.2, count), 5, 80)
        caps["angle"] = np.radians(degrees)
        caps["wobble"] = 0.3 * p.irregular * rng.random(count)
        caps["phase"] = rng.uniform(0, 2 * np.pi, count)
        caps["sag"] = rng.uniform(0, 0.35, count)
        caps["stretch"] = 1 + p.irregular * np.maximum(rng.normal(0, 0.35, count), 0)
        runs = rng.random(count) < p.sliding
        caps["mobility"] = np.where(runs, rng.lognormal(0, 0.5, count), 0)
        caps["stretch"] += np.where(runs, rng.uniform(0.3, 2, count), 0)
        return caps

    @property
    def _margin(self) -> float:
        return 2 * self.params.radius * float(self._scale(self.camera.cy))

    def _scatter(self) -> Caps:
        p, camera = self.params, self.camera
        if p.coverage <= 0:
            return np.zeros(0, CAP)
        margin = self._margin
        area = (camera.width + 2 * margin) * (camera.height + 2 * margin)
        # Discs thrown at random cover 1 − exp(−area of the discs / area of the glass).
        wanted = -np.log1p(-min(p.coverage, 0.9)) * area
        median = p.radius * float(self._scale(camera.cy))
        mean = 0.55 * np.pi * max(median, _SMALLEST) ** 2 * np.exp(2 * p.spread**2)
        caps = self._new(int(np.clip(2 * wanted / mean + 20, 1, _MOST)))
        drawn = np.pi * np.cos(self._tilt) * caps["radius"] ** 2 * (1 + caps["stretch"]) / 2
        caps = caps[: int(np.searchsorted(np.cumsum(drawn), wanted)) + 1]
        if self.rng.random() * drawn[len(caps) - 1] > wanted - drawn[: len(caps) - 1].sum():
            caps = caps[:-1]
        joined = self.rng.random(len(caps)) < 0.4 * p.irregular
        twins = caps[joined & (caps["mobility"] == 0)].copy()
        turn = self.rng.uniform(0, 2 * np.pi, len(twins))
        away = twins["radius"] * self.rng.uniform(0.5, 0.9, len(twins))
        twins["x"] += away * np.cos(turn)
        twins["y"] += away * np.sin(turn)
        twins["radius"] *= self.rng.uniform(0.4, 0.8, len(twins))
        return np.concatenate([caps, twins])

    def _uneven(self) -> Float:
        shape = (self.camera.height, self.camera.width)
        coarse = self.rng.random((4, 6), dtype=np.float32)
        return np.clip(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)

    def _surface(self) -> Float:
        squash = float(np.cos(self._tilt))
        if self._still is None:
            blank = np.full((self.camera.height, self.camera.width), DRY, np.float32)
            self._still = paint(blank, self.caps[self.caps["mobility"] == 0], squash=squash)
        moving = self.caps[self.caps["mobility"] > 0]
        return paint(self._still.copy(), moving, squash=squash) if moving.size else self._still

    def _look(self) -> _Optics:
        p, camera = self.params, self.camera
        surface = self._surface()
        steepest = np.float32(np.tan(np.radians(p.contact_angle)))
        index = np.flatnonzero(surface > -0.5 * steepest)
        count = len(index)
        if count:
            index = np.pad(index, (0, -count % 256), mode="edge")
        down, right = slopes(surface)[::-1]
        hx, hy = right.ravel()[index], down.ravel()[index] * np.float32(np.cos(self._tilt))
        alpha = np.clip(surface.ravel()[index] / steepest + 0.5, 0, 1) * np.float32(p.opacity)
        row, column = np.divmod(index, camera.width)
        x = ((column - camera.cx) / camera.focal).astype(np.float32)
        y = ((row - camera.cy) / camera.focal).astype(np.float32)
        to_x, to_y, through = refract(hx, hy, x, y, tilt=self._tilt)
        steep = np.minimum(np.hypot(hx, hy) / steepest, 1)
        light = through / 0.98 * (1 - p.tint) * (1 - p.rim * steep**4)
        glint = p.highlight * np.clip(-1.6 * hy / steepest - 0.6, 0, 1) ** 2
        # A drop shrinks the scene: it is sampled from one as small, lest the drop glitter.
        scale = 1
        if count:
            span = np.hypot(to_x - x, to_y - y).mean() * camera.focal
            size = np.sqrt(np.average(self.caps["radius"] ** 2, weights=self.caps["radius"]))
            scale = int(2 ** np.clip(np.round(np.log2(max(span / size, 1))), 0, 4))
            scale = min(scale, max(1, min(camera.height, camera.width) // 8))
        at_x = _fold(camera.cx + camera.focal * to_x, camera.width)
        at_y = _fold(camera.cy + camera.focal * to_y, camera.height)
        map_x, map_y = (
            np.asarray((at + 0.5) / scale - 0.5, np.float32).reshape(-1, 256) for at in (at_x, at_y)
        )
        light, glint = (np.asarray(v * alpha, np.float32)[:count, None] for v in (light, glint))
        return _Optics(index[:count], map_x, map_y, alpha[:count], light, glint, scale)

    def layer(self, scene: Float) -> tuple[Float, Float]:
        """The water of this frame before defocus: colour times opacity H×W×C, and opacity H×W.

        Args:
            scene: What is behind the glass, H×W×C in [0, 1].
        """
        if self._optics is None:
            self._optics = self._look()
            self._soft.clear()
        optics, (height, width, channels) = self._optics, scene.shape
        colour = np.zeros((height * width, channels), np.float32)
        alpha = np.zeros(height * width, np.float32)
        if len(optics.index):
            small = shrink(scene, optics.shrink)
            bent = cv2.remap(
                small, optics.x, optics.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ).reshape(-1, channels)[: len(optics.index)]
            # The brightest part of the scene is taken for the sky.
            sky = shrink(small, max(1, min(small.shape[:2]) // 8)).max((0, 1))
            bent = bent * optics.light + sky * optics.glint
            colour[optics.index] = np.minimum(bent, optics.alpha[:, None])
            alpha[optics.index] = optics.alpha
        return colour.reshape(scene.shape), alpha.reshape(height, width)

    def behind(self, scene: Float) -> Float:
        """The scene through the film between the drops, H×W×C."""
        film = 0.0 if self._film is None else self.params.film * self._film
        if self._streaky is not None:
            film = np.minimum(film + self._streaky, 1)
        if not isinstance(film, np.ndarray):
            return scene
        sigma = 0.003 * self.camera.focal + 0.5
        soft = cv2.GaussianBlur(scene, (0, 0), sigma)
        haze = 0.9 * soft + 0.1 * soft.mean((0, 1), keepdims=True)
        return scene + np.asarray(film, np.float32)[..., None] * (haze - scene)

    def compose(
        self, behind: Float, water: tuple[Float, Float], aperture: Aperture = disc_kernel
    ) -> tuple[Float, Float]:
        """Defocused water over what is behind it.

        Args:
            behind: Picture H×W×C.
            water: What :meth:`layer` gave for this frame.
            aperture: Shape of the circle of confusion.

        Returns:
            Picture H×W×C and opacity H×W, in [0, 1]; ``behind`` itself where there is no water.
        """
        colour, sharp = water
        if not sharp.any():
            return behind, sharp
        diameters = self.diameters
        alpha = self._soft.get(aperture)
        if alpha is None:
            soft = defocus(sharp[..., None], diameters, aperture)
            alpha = self._soft[aperture] = np.clip(soft.reshape(sharp.shape), 0, 1)
        seen = behind * cv2.merge([1 - alpha] * behind.shape[2])
        seen += defocus(colour, diameters, aperture)
        return np.clip(seen, 0, 1, out=seen), alpha

    def render(self, scene: Float) -> tuple[Float, Float]:
        """Look at ``scene`` (H×W×C in [0, 1]) through the wet glass; advances by one frame.

        Returns:
            The picture H×W×C, and the opacity of the drops H×W in [0, 1].
        """
        seen, alpha = self.compose(self.behind(scene), self.layer(scene))
        self.advance()
        return seen, alpha.copy()

    def advance(self) -> None:
        """Let 1/fps seconds pass: drops run, swallow others, grow, are wiped."""
        p, seconds = self.params, 1 / self.camera.fps
        self._time += seconds
        if p.growth > 0:
            self._grow(seconds)
        if (self.caps["mobility"] > 0).any():
            self._run(seconds)
        if p.wiper > 0:
            self._wipe(seconds)

    def _grow(self, seconds: float) -> None:
        grown = self.params.growth * seconds * self._scale(self.caps["y"])
        # What is as wide as water can lie on the glass flows off instead.
        limit = 4 * self.params.radius * self._scale(self.caps["y"])
        self.caps["radius"] = np.minimum(
            self.caps["radius"] + grown, np.maximum(limit, self.caps["radius"])
        )
        # Wet as at the start again when the wiper comes back, or after a radius of growth.
        refill = self.params.wiper or 2 * self.params.radius / self.params.growth
        room = max(0.0, 1.5 - len(self.caps) / self._full)
        count = int(self.rng.poisson(1.5 * room * self._full / refill * seconds))
        fresh = self._new(count)[: max(0, _MOST - len(self.caps))]
        if fresh.size:
            fresh["radius"] = np.maximum(0.7 * fresh["radius"], _SMALLEST)
            fresh["mobility"] = 0
            self.caps = np.concatenate([self.caps, fresh])
        self._still = self._optics = None

    def _run(self, seconds: float) -> None:
        camera, p = self.camera, self.params
        runs = self.caps["mobility"] > 0
        moving = self.caps[runs]
        scale = self._scale(moving["y"])
        wind = _RUN * (p.speed / _AIRFLOW) ** 2
        pace = moving["mobility"] * self.rng.uniform(0.2, 1.8, len(moving)) * seconds * scale
        fall = _RUN * moving["radius"] / scale * np.cos(self._tilt) - wind
        moving["x"] += pace * wind * (moving["x"] - camera.cx) / camera.focal
        moving["y"] += pace * fall * np.cos(self._tilt)
        reach = moving["radius"] * (1 + moving["stretch"])
        height = camera.height + 2 * reach
        moving["y"] = (moving["y"] + reach) % height - reach
        self.caps[runs] = moving
        self._optics = None
        still = self.caps[~runs]
        if still.size:
            gap = np.hypot(still["x"] - moving["x"][:, None], still["y"] - moving["y"][:, None])
            met = (gap < 0.8 * moving["radius"][:, None]).any(0)
            if met.any():
                self.caps = np.concatenate([still[~met], moving])
                self._still = None

    def _wipe(self, seconds: float) -> None:
        camera, period = self.camera, self.params.wiper

        def blade(time: float) -> float:
            """Angle from upright in radians; a stroke up and down takes 40 % of the period."""
            return 1.3 * (2 * min(1.0, abs((time / period) % 1 / 0.2 - 1)) - 1)

        before, now = blade(self._time - seconds), blade(self._time)
        if before == now:
            if self._streaky is not None:
                self._streaky *= np.float32(np.exp(-seconds / 1.5))
            return
        low, high = min(before, now), max(before, now)
        pivot = camera.cy + 0.7 * camera.focal

        def swept(x: Float, y: Float) -> np.ndarray:
            angle = np.arctan2(x - camera.cx, pivot - y)
            away = np.hypot(x - camera.cx, pivot - y) / camera.focal
            return (angle >= low) & (angle <= high) & (away > 0.2) & (away < 1.3)

        gone = swept(self.caps["x"], self.caps["y"])
        if gone.any():
            self.caps = self.caps[~gone]
            self._still = self._optics = None
        y, x = np.mgrid[: camera.height, : camera.width].astype(np.float32)
        wiped = swept(x, y)
        if self._streaky is None:
            self._streaky = np.zeros(wiped.shape, np.float32)
        away = np.hypot(x - camera.cx, pivot - y)[wiped]
        streaks = self.rng.random(64, dtype=np.float32) ** 3
        spread = np.interp(away / camera.focal, np.linspace(0.2, 1.3, 64), streaks)
        self._streaky[wiped] = 0.5 * spread
