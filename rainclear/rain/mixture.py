"""The wide random mixture of rain and cameras that networks are trained on."""

from dataclasses import replace

import numpy as np

from rainclear.rain.camera import Camera
from rainclear.rain.clip import RainParams
from rainclear.rain.drops import DropParams
from rainclear.rain.painted import PaintedParams
from rainclear.rain.rainfall import RainfallParams
from rainclear.rain.streaks import StreakLayer
from rainclear.rain.veil import HORIZON, extinction

__all__ = ["random_camera", "random_rain", "random_weather", "road_camera"]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_camera(rng: np.random.Generator, height: int, width: int) -> Camera:
    """A camera of which a random window of ``height`` × ``width`` pixels is looked at."""
    focal = _log_uniform(rng, 250, 1400)
    whole = focal * float(rng.uniform(0.8, 1.6))  # the width of its picture
    room_x, room_y = max(0.0, whole - width), max(0.0, 0.6 * whole - height)
    return Camera(
        height=height,
        width=width,
        focal=focal,
        cx=whole / 2 - room_x * float(rng.random()),
        cy=0.3 * whole - room_y * float(rng.random()),
        exposure=_log_uniform(rng, 0.001, 0.02),
        aperture=_log_uniform(rng, 0.0005, 0.006),
        focus=float("inf") if rng.random() < 0.7 else _log_uniform(rng, 3, 20),
    )


def road_camera(
    rng: np.random.Generator, size: int, *, top: float = 0.0, share: float = 1.0
) -> Camera:
    """A vehicle's camera, of which a square window is looked at: of some 60 degrees, looking ahead.

    Args:
        rng: Source of all randomness.
        size: Height and width of the window in pixels.
        top: Upper edge of the window, in heights of the frame.
        share: Height of the window, in heights of the frame.
    """
    height = size / share
    width = height * float(rng.uniform(1.3, 3.3))
    return Camera(
        height=size,
        width=size,
        focal=0.87 * min(width, 1.8 * height) * _log_uniform(rng, 0.75, 1.35),
        cx=width / 2 - max(0.0, width - size) * float(rng.random()),
        cy=(0.5 - top) * height,
        exposure=_log_uniform(rng, 0.002, 0.012),
        aperture=_log_uniform(rng, 0.001, 0.004),
    )


def _random_rainfall(rng: np.random.Generator) -> RainfallParams:
    night = rng.random() < 0.12
    return RainfallParams(
        rate=_log_uniform(rng, 5, 150),
        speed=0.0 if rng.random() < 0.3 else float(rng.uniform(5, 120)),
        wind=float(rng.normal(0, 2.5)),
        turbulence=_log_uniform(rng, 0.1, 1.0),
        light=_log_uniform(rng, 0.1, 0.5) if night else _log_uniform(rng, 1.5, 15),
        headlights=_log_uniform(rng, 0.5, 8) if night else 0.0,
        near=_log_uniform(rng, 0.25, 1.5),
    )


def _random_layers(rng: np.random.Generator) -> tuple[StreakLayer, ...]:
    angle = float(np.clip(rng.normal(0, 18), -50, 50))
    opening = float(rng.uniform(0, 20)) if rng.random() < 0.4 else 0.0
    strength = float(rng.uniform(0.5, 1.0))
    downpour = rng.random() < 0.15  # as thick as the heaviest public sets
    layers = []
    for _ in range(int(rng.integers(1, 4)) + downpour):
        if rng.random() < 0.55 or downpour:
            length = _log_uniform(rng, 6, 70)
            layer = StreakLayer(
                family="lines",
                density=_log_uniform(rng, 0.04 if downpour else 0.005, 0.2 if downpour else 0.12),
                length=length,
                width=float(np.clip(rng.lognormal(0.2, 0.45), 0.7, 0.12 * length + 1.5)),
                opacity=strength * float(rng.uniform(0.35, 0.95)),
                opening=opening,
            )
        else:
            dense = rng.random() < 0.4  # curtains of rain, as image editors draw them
            layer = StreakLayer(
                family="noise",
                density=float(rng.uniform(0.2, 0.4) if dense else rng.uniform(0.04, 0.25)),
                length=_log_uniform(rng, 7, 140),
                width=_log_uniform(rng, 0.8, 5.0),
                opacity=strength * float(rng.uniform(0.2, 0.85)),
                haze=float(rng.uniform(0.0, 0.45)) if dense else 0.0,
                patchiness=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.4 else 0.0,
            )
        wander = float(rng.uniform(0, 3))
        layers.append(replace(layer, angle=angle + float(rng.normal(0, 4)), wander=wander))
    return tuple(layers)


def _random_drops(rng: np.random.Generator, camera: Camera) -> DropParams:
    # Chosen by what is seen, in pixels; millimetres follow from the camera.
    radius = _log_uniform(rng, 2.5, 24.0)
    blur = radius * _log_uniform(rng, 0.05, 2.5)
    distance = float(np.clip(1e3 * camera.aperture * camera.focal / blur, 20, 1500))
    return DropParams(
        coverage=_log_uniform(rng, 0.04, 0.5),
        radius=radius * distance / camera.focal,
        spread=float(rng.uniform(0.2, 0.8)),
        contact_angle=float(rng.uniform(15, 65)),
        glass_distance=distance,
        tilt=float(rng.uniform(0, 72)),
        irregular=float(rng.uniform(0, 1)),
        rim=float(rng.uniform(0, 0.8)),
        highlight=float(rng.uniform(0, 0.5)),
        opacity=float(rng.uniform(0.7, 1.0)),
        film=float(rng.uniform(0, 0.6)) if rng.random() < 0.25 else 0.0,
        sliding=float(rng.uniform(0, 0.4)) if rng.random() < 0.4 else 0.0,
        speed=float(rng.uniform(0, 120)),
    )


def _random_painted(rng: np.random.Generator) -> PaintedParams:
    zoom = _log_uniform(rng, 1.5, 9) if rng.random() < 0.75 else _log_uniform(rng, 0.3, 1.0)
    frosted = rng.random() < 0.15  # only blurred
    return PaintedParams(
        coverage=_log_uniform(rng, 0.03, 0.4),
        radius=_log_uniform(rng, 3.0, 26.0),
        spread=float(rng.uniform(0.1, 0.7)),
        zoom=1.0 if frosted else zoom if rng.random() < 0.3 else -zoom,
        blur=_log_uniform(rng, 0.2, 0.5) if frosted else _log_uniform(rng, 0.02, 0.35),
        feather=_log_uniform(rng, 0.08, 1.0),
        light=_log_uniform(rng, 0.75, 1.25),
        glow=float(rng.uniform(0, 0.3)) if rng.random() < 0.4 else 0.0,
        rim=float(rng.uniform(-0.3, 0.6)) if rng.random() < 0.5 else 0.0,
        opacity=float(rng.uniform(0.6, 1.0)),
        elongation=_log_uniform(rng, 0.7, 1.8),
    )


def random_rain(rng: np.random.Generator, camera: Camera) -> RainParams:
    """One draw from everything we can imagine: what training rains on its clips.

    45 % joint rain, 38 % streaks (with or without a veil), 17 % drops. Of the streaks 25 % fall by
    physics, 55 % are those of the public sets, and 20 % both. Of the drops 60 % are water on glass,
    30 % painted, and 10 % both.

    Args:
        rng: Source of all randomness.
        camera: Who looks: drops are chosen by their size and blur in its picture.
    """
    kind = rng.choice(["joint", "streaks", "drops"], p=[0.45, 0.38, 0.17])
    source = rng.choice(["physics", "layers", "both"], p=[0.25, 0.55, 0.2])
    # Seldom, as nothing in the picture tells how strong this veil is: of a shower's, streaks do.
    veil = _log_uniform(rng, 0.05, 0.8) if kind != "drops" and rng.random() < 0.18 else 0.0
    falls = kind != "drops"
    glass = _random_drops(rng, camera) if kind != "streaks" else None
    # A generator of their own: all else of a seed's rain is the same with and without them.
    paint = rng.spawn(1)[0]
    water = paint.choice(["glass", "painted", "both"], p=[0.6, 0.3, 0.1]) if glass else "none"
    return RainParams(
        rainfall=_random_rainfall(rng) if falls and source != "layers" else None,
        layers=_random_layers(rng) if falls and source != "physics" else (),
        drops=glass if water in ("glass", "both") else None,
        painted=_random_painted(paint) if water in ("painted", "both") else None,
        veil=veil,
        airlight=float(rng.uniform(0.35, 1.0)),
        streak_light=float(rng.uniform(0.6, 1.0)),
        tint=tuple(float(v) for v in rng.normal(1.0, 0.05, 3)),  # type: ignore[arg-type]
        horizon=float(rng.uniform(-0.5, 1.2)),
        additive=bool(rng.random() < 0.35),
    )


def random_weather(rng: np.random.Generator) -> RainParams:
    """Rain as a vehicle meets it: fall, veil and drops of one shower, around the presets.

    The veil follows the rain rate (:func:`rainclear.rain.veil.extinction`) as far as the depth of
    the street allows, so streaks and drops tell how much of it to take off. To be seen by a
    :func:`road_camera`.

    Args:
        rng: Source of all randomness.
    """
    rate = _log_uniform(rng, 1.5, 90)
    speed = 0.0 if rng.random() < 0.15 else float(rng.uniform(5, 110))
    tint = tuple(float(v) for v in rng.normal(1.0, 0.02, 3))
    veil = extinction(rate) * HORIZON * _log_uniform(rng, 0.6, 1.5)
    drops = DropParams(
        coverage=_log_uniform(rng, 0.02, 0.35),
        radius=_log_uniform(rng, 0.6, 2.2),
        spread=float(rng.uniform(0.3, 0.6)),
        contact_angle=float(rng.uniform(25, 55)),
        glass_distance=_log_uniform(rng, 150, 450),
        tilt=float(rng.uniform(10, 60)),
        irregular=float(rng.uniform(0.1, 0.8)),
        rim=float(rng.uniform(0.0, 0.4)),
        highlight=float(rng.uniform(0.0, 0.3)),
        opacity=float(rng.uniform(0.85, 1.0)),
        sliding=float(rng.uniform(0.0, 0.3)),
        speed=speed,
    )
    return RainParams(
        rainfall=RainfallParams(rate=rate, speed=speed, wind=float(rng.normal(0, 2.5))),
        drops=drops if rng.random() < 0.85 else None,
        veil=veil if rng.random() < 0.9 else 0.0,
        airlight=float(rng.uniform(0.7, 1.0)),
        tint=tint,  # type: ignore[arg-type]
    )
