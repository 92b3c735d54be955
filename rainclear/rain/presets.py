"""Named kinds of rain, for pictures of any size.

Rainfall and drops are in real units and follow the camera; the streak layers of the public sets
are in pixels of a picture 720 lines high, which :func:`preset` scales to the one at hand.
"""

from dataclasses import replace

from rainclear.errors import ConfigError
from rainclear.rain.camera import Optics
from rainclear.rain.clip import RainParams
from rainclear.rain.drops import DropParams
from rainclear.rain.rainfall import RainfallParams
from rainclear.rain.streaks import StreakLayer
from rainclear.rain.veil import HORIZON, extinction

__all__ = ["PRESETS", "preset"]


def _weather(
    rate: float, speed: float, *, wind: float = 1.0, exposure: float = 0.005
) -> RainParams:
    return RainParams(
        rainfall=RainfallParams(rate=rate, speed=speed, wind=wind),
        veil=extinction(rate) * HORIZON,
        optics=Optics(exposure=exposure),
    )


PRESETS: dict[str, RainParams] = {
    "drizzle": replace(
        _weather(2, 30), drops=DropParams(coverage=0.03, radius=0.7, glass_distance=350)
    ),
    "moderate": replace(
        _weather(10, 50), drops=DropParams(coverage=0.06, radius=1.0, glass_distance=300)
    ),
    "heavy": replace(
        _weather(30, 60, wind=2.0),
        drops=DropParams(coverage=0.12, radius=1.3, glass_distance=250, sliding=0.15, speed=60),
    ),
    "storm": replace(
        _weather(80, 40, wind=5.0, exposure=0.008),
        drops=DropParams(
            coverage=0.18, radius=1.6, glass_distance=250, sliding=0.25, speed=40, growth=0.05
        ),
    ),
    "windshield": replace(
        _weather(4, 30),
        drops=DropParams(
            coverage=0.3, radius=1.4, glass_distance=200, sliding=0.05, growth=0.05, wiper=4.0
        ),
    ),
    "night": RainParams(
        rainfall=RainfallParams(rate=20, speed=50, wind=1.0, light=0.5, headlights=6.0),
        drops=DropParams(coverage=0.08, radius=1.2, glass_distance=250),
        veil=0.5 * extinction(20) * HORIZON,
        airlight=0.25,
        optics=Optics(exposure=0.02),
    ),
    "rain100h": RainParams(
        layers=(
            StreakLayer(density=0.09, length=75, width=3.4, opacity=0.6, angle=14),
            StreakLayer(density=0.16, length=42, width=1.8, opacity=0.7, angle=14),
            StreakLayer(
                family="noise", density=0.25, length=36, width=2.0, opacity=0.35, angle=14, haze=0.1
            ),
        ),
        streak_light=1.0,
        additive=True,
    ),
    "jrsrd": RainParams(
        layers=(
            StreakLayer(family="noise", density=0.17, length=65, width=1.7, opacity=0.7, angle=12),
            StreakLayer(family="noise", density=0.17, length=32, opacity=0.4, angle=10),
        ),
        drops=DropParams(coverage=0.16, radius=1.0, glass_distance=60),
        streak_light=1.0,
        optics=Optics(aperture=0.001),
    ),
}


def preset(
    name: str,
    *,
    height: int = 720,
    rate: float | None = None,
    speed: float | None = None,
    coverage: float | None = None,
) -> RainParams:
    """Rain by name, for pictures of ``height`` lines.

    Args:
        name: One of :data:`PRESETS`.
        height: Height of the pictures in pixels.
        rate: Rain rate in mm/h instead of the preset's; the veil goes with it.
        speed: Speed of the vehicle in km/h instead of the preset's.
        coverage: Share of the glass under drops instead of the preset's, 0 for none.

    Raises:
        ConfigError: There is no such preset, or a value is out of range.
    """
    if name not in PRESETS:
        raise ConfigError(f"no rain preset named {name!r}; there are: {', '.join(PRESETS)}")
    params, k = PRESETS[name], height / 720
    layers = tuple(
        replace(layer, length=max(3.0, layer.length * k), width=max(0.8, layer.width * k))
        for layer in params.layers
    )
    params = replace(params, layers=layers)
    if rate is not None:
        params = _with_rate(params, rate)
    if speed is not None:
        params = _with_speed(params, speed)
    if coverage is not None:
        if not 0 <= coverage <= 0.9:
            raise ConfigError(f"drops can cover 0 to 0.9 of the glass, not {coverage:g}")
        drops = replace(params.drops or DropParams(), coverage=coverage)
        params = replace(params, drops=drops if coverage > 0 else None)
    return params


def _with_rate(params: RainParams, rate: float) -> RainParams:
    if not 0 <= rate <= 300:
        raise ConfigError(f"a rain rate is 0 to 300 mm/h, not {rate:g}")
    rainfall = params.rainfall or RainfallParams()
    veil = extinction(rate) * HORIZON
    if params.rainfall is not None and params.rainfall.rate > 0:
        veil *= params.veil / (extinction(params.rainfall.rate) * HORIZON)
    return replace(params, rainfall=replace(rainfall, rate=rate), veil=veil)


def _with_speed(params: RainParams, speed: float) -> RainParams:
    if not 0 <= speed <= 250:
        raise ConfigError(f"a vehicle goes at 0 to 250 km/h, not {speed:g}")
    if params.rainfall is not None:
        params = replace(params, rainfall=replace(params.rainfall, speed=speed))
    if params.drops is not None:
        params = replace(params, drops=replace(params.drops, speed=speed))
    return params
