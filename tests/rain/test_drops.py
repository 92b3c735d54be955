"""A drop is a small lens: it turns the scene round, stays where it is, or runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rainclear.rain.camera import Camera
from rainclear.rain.drops import DropParams, Drops
from rainclear.rain.glass import CAP, WATER, Caps, refract

SIZE = 121
CLEAR = DropParams(
    tilt=0, contact_angle=20, rim=0, highlight=0, tint=0, sliding=0, irregular=0, glass_distance=100
)


def camera(size: int = SIZE, **changes: Any) -> Camera:
    middle = (size - 1) / 2
    pinhole = Camera(height=size, width=size, focal=100, cx=middle, cy=middle, aperture=0)
    return replace(pinhole, **changes)


def caps(*drops: dict[str, float]) -> Caps:
    out = np.zeros(len(drops), CAP)
    out["x"] = out["y"] = (SIZE - 1) / 2
    out["radius"], out["angle"], out["stretch"] = 30, np.radians(20), 1
    for cap, given in zip(out, drops, strict=True):
        for name, value in given.items():
            cap[name] = value
    return out


def glass(params: DropParams = CLEAR, *drops: dict[str, float], **optics: Any) -> Drops:
    rng = np.random.default_rng(0)
    return Drops(params, camera(**optics), rng, caps=caps(*(drops or ({},))))


def ramps(size: int = SIZE) -> np.ndarray:
    """Red rises downwards, green rises to the right, blue is flat."""
    rise = np.linspace(0, 1, size, dtype=np.float32)
    down, right = np.meshgrid(rise, rise, indexing="ij")
    return np.stack([down, right, np.full_like(down, 0.5)], 2)


def centre(alpha: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(alpha.shape)
    return float((alpha * rows).sum() / alpha.sum()), float((alpha * columns).sum() / alpha.sum())


def test_a_drop_shows_the_scene_upside_down_and_turned_round() -> None:
    # A longer focal length: 10° behind the drop are then more pixels than the drop has.
    seen, alpha = glass(CLEAR, focal=300).render(ramps())
    middle, reach = SIZE // 2, 12
    assert alpha[middle, middle] == 1
    across = (seen[middle, middle - reach, 1], seen[middle, middle, 1])
    down = (seen[middle - reach, middle, 0], seen[middle, middle, 0])
    for before, here in (across, down):
        assert here == pytest.approx(0.5, abs=0.02)
        # slope at 12 px: 12 / √(87.7² − 12²); deviated by Snell; behind the pixel at −12
        slope_angle = np.arcsin(12 / (30 / np.sin(np.radians(20))))
        bent = np.arcsin(WATER * np.sin(slope_angle)) - slope_angle
        shown = middle + 300 * np.tan(bent + np.arctan(-reach / 300))
        # n·sin(i) of the inclined ray differs little at 2°
        assert before * (SIZE - 1) == pytest.approx(shown, abs=0.6)


def test_a_strong_drop_inverts() -> None:
    params = replace(CLEAR, contact_angle=45)
    seen, _ = glass(params, {"angle": np.radians(45)}, focal=300).render(ramps())
    middle = SIZE // 2
    assert seen[middle, middle - 8, 1] > seen[middle, middle, 1] > seen[middle, middle + 8, 1]
    assert seen[middle - 8, middle, 0] > seen[middle, middle, 0] > seen[middle + 8, middle, 0]


@pytest.mark.parametrize("degrees", [5.0, 20.0, 40.0])
def test_deviation_is_snells(degrees: float) -> None:
    slope, none = np.float32([np.tan(np.radians(degrees))]), np.zeros(1, np.float32)
    expected = np.degrees(np.arcsin(WATER * np.sin(np.radians(degrees)))) - degrees
    x, y, through = refract(slope, none, none, none)
    assert np.degrees(np.arctan(x)) == pytest.approx(expected, rel=1e-4)  # towards thick water
    assert y == pytest.approx(0, abs=1e-6)
    assert 0.9 < through[0] < 0.981


def test_steep_water_reflects_totally_and_flat_water_does_nothing() -> None:
    none = np.zeros(1, np.float32)
    steep = np.float32([np.tan(np.radians(50))])  # beyond asin(1/n) = 48.6°
    assert refract(steep, none, none, none)[2] == 0
    ray = np.float32([0.2]), np.float32([-0.3])
    x, y, _ = refract(none, none, *ray, tilt=0.7)
    assert x == pytest.approx(0.2, abs=1e-5)
    assert y == pytest.approx(-0.3, abs=1e-5)


def test_radius_in_pixels_follows_focal_length_and_distance() -> None:
    params = replace(CLEAR, radius=2, spread=0, coverage=0.3)
    largest = []
    for focal, distance in ((500, 100), (500, 200), (1000, 200)):
        drops = Drops(
            replace(params, glass_distance=distance),
            camera(400, focal=focal),
            np.random.default_rng(1),
        )
        largest.append(drops.caps["radius"].max())
    assert largest == pytest.approx([10, 5, 10])  # focal · r / distance


def test_tilted_glass_is_nearer_at_the_top() -> None:
    drops = glass(replace(CLEAR, tilt=45), aperture=0.01)
    assert drops.distance[SIZE // 2] == pytest.approx(0.1)
    assert drops.diameters[0] > drops.diameters[-1]


def test_blur_has_the_diameter_of_the_circle_of_confusion() -> None:
    point = {"radius": 1.2}
    for aperture in (0.008, 0.016):
        drops = glass(CLEAR, point, aperture=aperture)
        diameter = drops.camera.blur(0.1)
        assert drops.diameters == pytest.approx(diameter)
        alpha = drops.render(ramps())[1]
        row = alpha[SIZE // 2]
        # Half of the height of a blurred small drop: the disc is as wide there.
        wide = np.count_nonzero(row > row.max() / 2)
        assert wide == pytest.approx(diameter, abs=2.1)
        assert row.max() < 0.3 if diameter > 10 else row.max() < 0.5


def test_a_still_drop_stays_while_the_scene_moves() -> None:
    drops = Drops(
        replace(CLEAR, coverage=0.2, radius=6), camera(aperture=0.003), np.random.default_rng(0)
    )
    assert drops.count > 0
    first = drops.render(ramps())[1]
    for step in (5, 10, 15):
        alpha = drops.render(np.roll(ramps(), step, axis=1))[1]
        assert np.array_equal(alpha, first)


@pytest.mark.parametrize(("speed", "sign"), [(0, 1), (200, -1)])
def test_a_running_drop_falls_at_rest_and_climbs_at_speed(speed: float, sign: int) -> None:
    drops = glass(replace(CLEAR, speed=speed), {"radius": 5, "mobility": 1})
    rows = [centre(drops.render(ramps())[1])[0] for _ in range(6)]
    assert (np.diff(rows) * sign > 0.2).all()


def test_a_running_drop_swallows_what_it_meets() -> None:
    below, aside = {"radius": 3, "y": 75}, {"radius": 3, "x": 80, "y": 75}
    drops = glass(CLEAR, below, aside, {"radius": 8, "mobility": 1})
    alpha = drops.render(ramps())[1]
    assert alpha[75, SIZE // 2] == alpha[75, 80] == 1
    for _ in range(24):
        drops.render(ramps())
    assert drops.caps["x"].tolist() == [80, SIZE // 2]  # the one aside and the running one
    assert drops.caps["radius"].tolist() == [3, 8]


def test_drops_that_touch_leave_no_gap() -> None:
    pair = {"x": 48, "radius": 16}, {"x": 72, "radius": 16}
    alpha = glass(CLEAR, *pair).render(ramps())[1]
    assert (alpha[SIZE // 2, 34:87] > 0.99).all()


def test_growth_grows_and_adds_drops() -> None:
    params = replace(CLEAR, growth=2)
    drops = glass(params, {"radius": 2})
    area = [drops.render(ramps())[1].sum() for _ in range(10)]
    assert (np.diff(area) >= 0).all()
    assert area[-1] > 1.5 * area[0]
    assert drops.caps["radius"][0] > 2.5


def test_the_wiper_clears_its_arc_and_leaves_a_film() -> None:
    params = replace(CLEAR, wiper=1.0)
    drops = glass(params, {"radius": 5}, {"radius": 5, "x": 0, "y": SIZE + 2})
    assert drops.render(ramps())[1][SIZE // 2, SIZE // 2] == 1
    for _ in range(12):
        seen, alpha = drops.render(ramps())
    assert alpha[SIZE // 2, SIZE // 2] == 0
    assert not np.array_equal(seen, ramps())


def test_film_blurs_and_no_film_does_not() -> None:
    noise = np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32)
    dry = replace(CLEAR, coverage=0)
    seen, alpha = Drops(dry, camera(), np.random.default_rng(0)).render(noise)
    assert np.array_equal(seen, noise)
    assert not alpha.any()
    hazy = Drops(replace(dry, film=1), camera(), np.random.default_rng(0)).render(noise)[0]
    assert hazy.std() < 0.9 * noise.std()


def test_the_same_seed_gives_the_same_frames() -> None:
    params = DropParams(coverage=0.3, sliding=0.3, growth=0.5, wiper=0.5, film=0.3, radius=3)

    def frames(seed: int) -> list[np.ndarray]:
        drops = Drops(params, camera(aperture=0.004), np.random.default_rng(seed))
        return [drops.render(ramps())[0] for _ in range(5)]

    assert all(np.array_equal(a, b) for a, b in zip(frames(4), frames(4), strict=True))
    assert not np.array_equal(frames(4)[0], frames(5)[0])


@pytest.mark.parametrize("coverage", [0.05, 0.3])
def test_coverage_is_met(coverage: float) -> None:
    params = replace(CLEAR, coverage=coverage, radius=4, irregular=0.5, tilt=30)
    wet = [
        Drops(params, camera(200), np.random.default_rng(seed)).render(ramps(200))[1].mean()
        for seed in range(12)
    ]
    assert np.mean(wet) == pytest.approx(coverage, rel=0.25)


@pytest.mark.parametrize("seed", range(6))
def test_pictures_stay_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = DropParams(
        coverage=0.5,
        radius=float(rng.uniform(0.5, 30)),
        contact_angle=float(rng.uniform(10, 70)),
        tilt=float(rng.uniform(0, 60)),
        highlight=1,
        sliding=0.4,
        film=0.5,
    )
    drops = Drops(params, camera(aperture=0.03 * rng.random()), rng)
    scene = np.concatenate([np.ones((SIZE, SIZE, 3), np.float32), ramps()], 2)
    for _ in range(2):
        seen, alpha = drops.render(scene)
        assert seen.shape == scene.shape
        assert alpha.dtype == seen.dtype == np.float32
        for picture in (seen, alpha):
            assert np.isfinite(picture).all()
            assert picture.min() >= 0
            assert picture.max() <= 1


def test_half_opaque_water_hides_half() -> None:
    full, _ = glass().render(ramps())
    half, alpha = glass(replace(CLEAR, opacity=0.5)).render(ramps())
    assert alpha.max() == pytest.approx(0.5)
    np.testing.assert_allclose(half, 0.5 * (full + ramps()), atol=1e-5)
