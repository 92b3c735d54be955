"""Named kinds of rain, and the wide random mixture that networks are trained on.

Lengths are in pixels of a picture 720 lines high; :func:`preset` scales them to the one at hand.
"""

from dataclasses import replace

import numpy as np

from rainclear.errors import ConfigError
from rainclear.rain.clip import RainParams
from rainclear.rain.drops import DropParams
from rainclear.rain.streaks import StreakLayer

__all__ = ["PRESETS", "preset", "random_rain"]

_NEAR = StreakLayer(density=0.012, length=95, width=4.0, opacity=0.4, angle=6, opening=14)
_MIDDLE = StreakLayer(density=0.09, length=45, width=1.8, opacity=0.62, angle=5, opening=8)
_FAR = StreakLayer(family="noise", density=0.12, length=20, width=1.0, opacity=0.35, angle=5)

PRESETS: dict[str, RainParams] = {
    "light": RainParams(
        layers=(replace(_MIDDLE, density=0.025), replace(_FAR, density=0.06, opacity=0.2)),
        drops=DropParams(coverage=0.03, radius=11),
        veil=0.05,
    ),
    "moderate": RainParams(
        layers=(_MIDDLE, _FAR), drops=DropParams(coverage=0.08, radius=14), veil=0.1
    ),
    "heavy": RainParams(
        layers=(_NEAR, replace(_MIDDLE, density=0.14, opacity=0.75), replace(_FAR, opacity=0.5)),
        drops=DropParams(coverage=0.14, radius=17, sliding=0.2),
        veil=0.25,
    ),
    "streaks": RainParams(layers=(_NEAR, _MIDDLE, _FAR)),
    "drops": RainParams(drops=DropParams(coverage=0.16, radius=17)),
}


def preset(name: str, *, height: int = 720) -> RainParams:
    """Rain by name, scaled to pictures of ``height`` lines.

    Raises:
        ConfigError: The name is not one of :data:`PRESETS`.
    """
    if name not in PRESETS:
        raise ConfigError(f"no rain preset named {name!r}; there are: {', '.join(PRESETS)}")
    params, k = PRESETS[name], height / 720
    layers = tuple(
        replace(layer, length=max(3.0, layer.length * k), width=max(0.8, layer.width * k))
        for layer in params.layers
    )
    drops = params.drops and replace(
        params.drops,
        radius=max(3.0, params.drops.radius * k),
        defocus=params.drops.defocus * k,
        speed=params.drops.speed * k,
    )
    return replace(params, layers=layers, drops=drops)


def _random_layers(rng: np.random.Generator) -> tuple[StreakLayer, ...]:
    angle = float(np.clip(rng.normal(0, 18), -50, 50))
    opening = float(rng.uniform(0, 20)) if rng.random() < 0.4 else 0.0
    strength = float(rng.uniform(0.5, 1.0))
    layers = []
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.55:
            length = float(np.exp(rng.uniform(np.log(6), np.log(70))))
            layer = StreakLayer(
                family="lines",
                density=float(np.exp(rng.uniform(np.log(0.005), np.log(0.12)))),
                length=length,
                width=float(np.clip(rng.lognormal(0.2, 0.45), 0.7, 0.12 * length + 1.5)),
                opacity=strength * float(rng.uniform(0.35, 0.95)),
                opening=opening,
            )
        else:
            layer = StreakLayer(
                family="noise",
                density=float(rng.uniform(0.04, 0.25)),
                length=float(np.exp(rng.uniform(np.log(7), np.log(90)))),
                width=float(np.exp(rng.uniform(np.log(0.8), np.log(5.0)))),
                opacity=strength * float(rng.uniform(0.2, 0.85)),
            )
        wander = float(rng.uniform(0, 3))
        layers.append(replace(layer, angle=angle + float(rng.normal(0, 4)), wander=wander))
    return tuple(layers)


def _random_drops(rng: np.random.Generator) -> DropParams:
    radius = float(np.exp(rng.uniform(np.log(3.0), np.log(26.0))))
    return DropParams(
        coverage=float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))),
        radius=radius,
        spread=float(rng.uniform(0.2, 0.7)),
        refraction=float(rng.uniform(2.0, 12.0)),
        defocus=float(rng.uniform(0.0, 0.45) * radius),
        rim=float(rng.uniform(0.0, 0.8)),
        highlight=float(rng.uniform(0.0, 0.6)),
        sliding=float(rng.uniform(0.0, 0.4)) if rng.random() < 0.5 else 0.0,
        speed=float(rng.uniform(0.3, 6.0)),
        opacity=float(rng.uniform(0.6, 1.0)),
    )


def random_rain(rng: np.random.Generator) -> RainParams:
    """One draw from everything we can imagine: what training rains on its clips.

    45 % joint rain, 35 % streaks (with or without a veil), 20 % drops.
    """
    kind = rng.choice(["joint", "streaks", "drops"], p=[0.45, 0.35, 0.2])
    veil = float(rng.uniform(0.02, 0.5)) if kind != "drops" and rng.random() < 0.3 else 0.0
    return RainParams(
        layers=_random_layers(rng) if kind != "drops" else (),
        drops=_random_drops(rng) if kind != "streaks" else None,
        veil=veil,
        airlight=float(rng.uniform(0.35, 1.0)),
        streak_light=float(rng.uniform(0.6, 1.0)),
        tint=tuple(float(v) for v in rng.normal(1.0, 0.05, 3)),  # type: ignore[arg-type]
        horizon=float(rng.uniform(-0.5, 1.2)),
        additive=bool(rng.random() < 0.35),
    )
