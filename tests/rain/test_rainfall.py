"""Falling rain keeps to physics: sizes, speeds, lengths, directions, light."""

import numpy as np
import pytest

from rainclear.rain.camera import Camera, Optics
from rainclear.rain.rainfall import (
    LARGEST,
    SMALLEST,
    Fall,
    Rainfall,
    RainfallParams,
    drop_density,
    terminal_speed,
)

CAMERA = Camera.of(Optics(fov=60, exposure=0.004), 360, 640)
CALM = RainfallParams(rate=30, speed=0, wind=0, turbulence=0)


def falls(params: RainfallParams, *, camera: Camera = CAMERA, frames: int = 6) -> Fall:
    """The drops of several frames together."""
    rain = Rainfall(params, camera, np.random.default_rng(7))
    drawn = [rain.fall() for _ in range(frames)]
    return Fall(
        **{name: np.concatenate([getattr(fall, name) for fall in drawn]) for name in Fall.__slots__}
    )


def test_a_streak_is_as_long_as_the_drop_falls_during_the_exposure() -> None:
    fall = falls(CALM)
    expected = terminal_speed(fall.diameter) * CAMERA.exposure * CAMERA.focal / fall.depth
    assert len(fall.depth) > 1000
    np.testing.assert_allclose(fall.length, expected, rtol=0.05)
    assert (fall.end[:, 1] > fall.start[:, 1]).all()


def test_the_drawn_streak_is_as_long_as_that_too() -> None:
    rain = Rainfall(CALM, CAMERA, np.random.default_rng(0))
    fall = Fall(
        diameter=np.array([2.0]),
        depth=np.array([2.0]),
        start=np.array([[300.0, 100.0]]),
        end=np.array([[300.0, 140.0]]),
        width=np.array([0.6]),
        radiance=np.array([1.0]),
    )
    rain.fall = lambda: fall  # type: ignore[method-assign]
    glow = rain.render()[1]
    rows = np.flatnonzero(glow.sum(1) > 0.5 * glow.sum(1).max())
    assert rows[-1] - rows[0] + 1 == pytest.approx(40, rel=0.05)
    assert glow.sum() == pytest.approx(
        np.pi / 4 * 0.6**2, rel=1e-3
    )  # light is neither won nor lost


def test_terminal_speeds_are_those_of_the_tables() -> None:
    # Gunn and Kinzer (1949): 1 mm 4.03, 2 mm 6.49, 3 mm 8.06, 5 mm 9.09 m/s.
    diameters = np.array([1.0, 2.0, 3.0, 5.0])
    np.testing.assert_allclose(terminal_speed(diameters), [4.03, 6.49, 8.06, 9.09], rtol=0.03)


@pytest.mark.parametrize("rate", [5.0, 50.0])
def test_drop_counts_follow_marshall_and_palmer(rate: float) -> None:
    """Kolmogorov–Smirnov against N(D), of the drops in a slab where every size is visible."""
    camera = Camera.of(Optics(fov=60, exposure=1e-5), 2160, 3840)
    fall = falls(RainfallParams(rate=rate, turbulence=0), camera=camera, frames=12)
    inside = ((fall.start >= 0) & (fall.start < (camera.width, camera.height))).all(1)
    slab = inside & (fall.depth > 0.5) & (fall.depth < 1.5)
    sizes = np.sort(fall.diameter[slab])
    grid = np.linspace(SMALLEST, LARGEST, 2000)
    law = np.cumsum(drop_density(grid, rate))
    expected = np.interp(sizes, grid, law / law[-1])
    n = len(sizes)
    distance = np.abs(np.arange(1, n + 1) / n - expected).max()
    assert n > 300
    assert distance < 1.63 / np.sqrt(n)  # the 1 % level
    volume = (1.5**3 - 0.5**3) / 3 * camera.width * camera.height / camera.focal**2
    total = np.trapezoid(drop_density(grid, rate), grid) * volume * 12
    assert n == pytest.approx(total, abs=5 * np.sqrt(total) + 0.03 * total)


def _slope(fall: Fall, camera: Camera) -> float:
    """How fast streaks turn outwards with the distance from the middle column."""
    way = fall.end - fall.start
    column = 0.5 * (fall.start + fall.end)[:, 0] - camera.cx
    return float(np.polyfit(column, way[:, 0] / fall.length, 1)[0] * camera.width)


def test_streaks_open_out_more_the_faster_the_vehicle() -> None:
    openings = [
        _slope(falls(RainfallParams(rate=30, speed=speed, turbulence=0)), CAMERA)
        for speed in (0, 30, 60, 120)
    ]
    assert abs(openings[0]) < 0.05
    assert openings == sorted(openings)
    assert openings[-1] > 0.5


def test_streaks_point_away_from_one_vanishing_point() -> None:
    """Drops of one speed move along parallel lines, which meet in one point."""
    speed = 90.0
    fall = falls(RainfallParams(rate=30, speed=speed, turbulence=0))
    centre = np.stack(
        [
            np.full(len(fall.depth), CAMERA.cx),
            CAMERA.cy - CAMERA.focal * terminal_speed(fall.diameter) / (speed / 3.6),
        ],
        1,
    )
    middle = 0.5 * (fall.start + fall.end)
    way, out = fall.end - fall.start, middle - centre
    cosine = (way * out).sum(1) / np.hypot(*way.T) / np.hypot(*out.T)
    far = np.hypot(*out.T) > 20
    assert (cosine[far] > 0.999).all()


def test_wind_leans_the_rain() -> None:
    fall = falls(RainfallParams(rate=30, wind=4.0, turbulence=0))
    way = fall.end - fall.start
    lean = way[:, 0] / way[:, 1] * terminal_speed(fall.diameter)
    assert np.median(lean) == pytest.approx(4.0, abs=0.5)


def test_more_rain_is_further_from_the_truth() -> None:
    scene = np.full((180, 320, 3), 0.35, np.float32)
    camera = Camera.of(Optics(), 180, 320)
    errors = []
    for rate in (0.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0):
        rain = Rainfall(RainfallParams(rate=rate), camera, np.random.default_rng(0))
        frames = [rain.render() for _ in range(6)]
        rainy = [np.sqrt(scene**2 * (1 - c[..., None]) + g[..., None]) for c, g in frames]
        errors.append(np.mean([np.square(r - scene).mean() for r in rainy]))
    assert errors[0] < 1e-12
    assert errors == sorted(errors)
    assert errors[-1] > 10 * errors[1]


def test_consecutive_frames_are_not_correlated() -> None:
    rain = Rainfall(RainfallParams(rate=60, speed=30), CAMERA, np.random.default_rng(1))
    first, second = (glow - glow.mean() for glow in (rain.render()[1], rain.render()[1]))
    assert first.std() > 0
    assert abs((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())) < 0.05


def test_near_drops_are_blurred() -> None:
    """A wide aperture spreads the same light over more pixels."""
    peaks = {}
    for aperture in (0.0001, 0.01):
        camera = Camera.of(Optics(aperture=aperture), 180, 320)
        params = RainfallParams(rate=50, turbulence=0)
        glow = Rainfall(params, camera, np.random.default_rng(2)).render()[1]
        peaks[aperture] = (glow.max(), glow.sum())
    assert peaks[0.01][0] < 0.6 * peaks[0.0001][0]
    assert peaks[0.01][1] == pytest.approx(peaks[0.0001][1], rel=0.1)


def test_headlights_light_near_drops_only() -> None:
    fall = falls(RainfallParams(rate=30, light=0.0, headlights=1.0))
    np.testing.assert_allclose(
        np.corrcoef(np.log(fall.radiance), np.log(fall.depth))[0, 1], -1, atol=0.25
    )
    near, far = fall.radiance[fall.depth < 1.0], fall.radiance[fall.depth > 3.0]
    assert np.median(near) > 5 * np.median(far)


def test_coverage_is_a_share_and_all_is_reproducible() -> None:
    again = [
        Rainfall(RainfallParams(rate=200), CAMERA, np.random.default_rng(3)).render()
        for _ in range(2)
    ]
    for a, b in zip(*again, strict=True):
        assert np.array_equal(a, b)
        assert a.dtype == np.float32
        assert a.shape == (360, 640)
    covered = again[0][0]
    assert covered.min() >= 0
    assert covered.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (45, 61)])
def test_any_size_and_no_rain(size: tuple[int, int]) -> None:
    camera = Camera.of(Optics(), *size)
    for rate in (0.0, 300.0):
        covered, glow = Rainfall(
            RainfallParams(rate=rate), camera, np.random.default_rng(0)
        ).render()
        assert covered.shape == glow.shape == size
        assert covered.any() == bool(rate) or size == (1, 1)


def test_a_crop_sees_what_the_whole_picture_would() -> None:
    """The window's camera has the same density of streaks and the same directions."""
    params = RainfallParams(rate=40, speed=80, turbulence=0)
    whole = falls(params)
    window = CAMERA.crop(480, 0, 160, 120)
    part = falls(params, camera=window, frames=30)

    def inside(fall: Fall, x: int, y: int) -> np.ndarray:
        middle = 0.5 * (fall.start + fall.end) - (x, y)
        return ((middle >= 0) & (middle < (160, 120))).all(1)

    a, b = inside(whole, 480, 0), inside(part, 0, 0)
    assert b.sum() / 30 == pytest.approx(a.sum() / 6, rel=0.15)
    lean = [float(np.median(f.end[m, 0] - f.start[m, 0])) for f, m in ((whole, a), (part, b))]
    assert lean[0] == pytest.approx(lean[1], rel=0.15)
