"""Water that comes to the glass and goes from it: drops land, grow, run and are wiped away."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rainclear.rain.camera import Camera
from rainclear.rain.glass import CAP, Caps
from rainclear.rain.streaks import Float

__all__ = ["DropParams", "WetGlass"]

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


class WetGlass:
    """The drops on the glass in front of a camera, as time goes by.

    Args:
        params: Kind and number of drops.
        camera: Who looks through the glass.
        rng: Source of all randomness.
        caps: The drops at first (see :data:`~rainclear.rain.glass.CAP`) instead of random ones.

    Attributes:
        caps: The drops now.
        tilt: Of the glass from upright, in radians.
        film: Streaky film that the wiper left, H×W in 0..1, or ``None``.
        rested: No drop that stays on its place changed since this was last set.
        unmoved: No drop at all changed since this was last set.
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
        self.tilt = float(np.radians(params.tilt))
        self.caps = self._scatter() if caps is None else caps
        self.film: Float | None = None
        self.rested = self.unmoved = False
        self._full = len(self.caps) + 20
        self._time = 0.0

    def distance(self, y: npt.ArrayLike) -> Float:
        """Of the glass in metres, in the direction y/z = ``y``."""
        lean = np.clip(1 - np.asarray(y) * np.tan(self.tilt), 0.4, 2.5)
        return np.asarray(1e-3 * self.params.glass_distance / lean, np.float32)

    def _scale(self, y: Float | float) -> Float:
        """Pixels per mm on the glass at a row of the picture."""
        away = self.distance(np.float32((y - self.camera.cy) / self.camera.focal))
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
        drawn = np.pi * np.cos(self.tilt) * caps["radius"] ** 2 * (1 + caps["stretch"]) / 2
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
        self.rested = self.unmoved = False

    def _run(self, seconds: float) -> None:
        camera, p = self.camera, self.params
        runs = self.caps["mobility"] > 0
        moving = self.caps[runs]
        scale = self._scale(moving["y"])
        wind = _RUN * (p.speed / _AIRFLOW) ** 2
        pace = moving["mobility"] * self.rng.uniform(0.2, 1.8, len(moving)) * seconds * scale
        fall = _RUN * moving["radius"] / scale * np.cos(self.tilt) - wind
        moving["x"] += pace * wind * (moving["x"] - camera.cx) / camera.focal
        moving["y"] += pace * fall * np.cos(self.tilt)
        reach = moving["radius"] * (1 + moving["stretch"])
        height = camera.height + 2 * reach
        moving["y"] = (moving["y"] + reach) % height - reach
        self.caps[runs] = moving
        self.unmoved = False
        still = self.caps[~runs]
        if still.size:
            gap = np.hypot(still["x"] - moving["x"][:, None], still["y"] - moving["y"][:, None])
            met = (gap < 0.8 * moving["radius"][:, None]).any(0)
            if met.any():
                self.caps = np.concatenate([still[~met], moving])
                self.rested = False

    def _wipe(self, seconds: float) -> None:
        camera, period = self.camera, self.params.wiper

        def blade(time: float) -> float:
            """Angle from upright in radians; a stroke up and down takes 40 % of the period."""
            return 1.3 * (2 * min(1.0, abs((time / period) % 1 / 0.2 - 1)) - 1)

        before, now = blade(self._time - seconds), blade(self._time)
        if before == now:
            if self.film is not None:
                self.film *= np.float32(np.exp(-seconds / 1.5))
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
            self.rested = self.unmoved = False
        y, x = np.mgrid[: camera.height, : camera.width].astype(np.float32)
        wiped = swept(x, y)
        if self.film is None:
            self.film = np.zeros(wiped.shape, np.float32)
        away = np.hypot(x - camera.cx, pivot - y)[wiped]
        streaks = self.rng.random(64, dtype=np.float32) ** 3
        spread = np.interp(away / camera.focal, np.linspace(0.2, 1.3, 64), streaks)
        self.film[wiped] = 0.5 * spread
