"""A drop is a small lens: it turns the scene round, stays where it is, or slides down."""

import numpy as np
import pytest

from rainclear.rain.drops import DropParams, Drops

SIZE = 121
CLEAR = DropParams(radius=36, rim=0, highlight=0, defocus=0, sliding=0)


def with_(params: DropParams, **changes: object) -> DropParams:
    return DropParams(**({name: getattr(params, name) for name in params.__slots__} | changes))


def ramps() -> np.ndarray:
    """Red rises downwards, green rises to the right, blue is flat."""
    rise = np.linspace(0, 1, SIZE, dtype=np.float32)
    down, right = np.meshgrid(rise, rise, indexing="ij")
    return np.stack([down, right, np.full_like(down, 0.5)], 2)


def slopes(params: DropParams, rng: object) -> tuple[float, float]:
    """Slopes of red (down) and green (right) in the middle of the drop, in the scene's own."""
    seen, alpha = Drops(params, SIZE, SIZE, rng).render(ramps())
    middle, reach = SIZE // 2, 5
    assert alpha[middle, middle] == pytest.approx(1)
    assert np.array_equal(seen[:4], ramps()[:4])  # beside the drop nothing changes
    per_pixel = (SIZE - 1) / (2 * reach)
    down = (seen[middle + reach, middle, 0] - seen[middle - reach, middle, 0]) * per_pixel
    right = (seen[middle, middle + reach, 1] - seen[middle, middle - reach, 1]) * per_pixel
    return float(down), float(right)


def test_a_drop_shows_the_scene_upside_down_and_small(still_rng) -> None:
    down, right = slopes(with_(CLEAR, refraction=4), still_rng)
    assert down == pytest.approx(-3, rel=0.15)
    assert right == pytest.approx(-3, rel=0.25)  # the drop is not quite round


def test_a_weak_drop_shows_it_upright(still_rng) -> None:
    down, right = slopes(with_(CLEAR, refraction=0.5), still_rng)
    assert 0.2 < down < 0.8
    assert 0.2 < right < 0.8


def test_a_still_drop_stays(scene: np.ndarray) -> None:
    drops = Drops(DropParams(coverage=0.2, sliding=0), 96, 160, np.random.default_rng(0))
    assert drops.count > 0
    first, *later = [drops.render(scene)[1] for _ in range(4)]
    assert first.max() > 0.5
    for alpha in later:
        assert np.array_equal(alpha, first)


def test_a_sliding_drop_moves_down_at_its_speed(sliding_rng) -> None:
    params = DropParams(radius=10, sliding=1, speed=3)
    drops = Drops(params, SIZE, SIZE, sliding_rng)
    rows = []
    for _ in range(8):
        alpha = drops.render(ramps())[1].sum(1)
        rows.append((alpha * np.arange(SIZE)).sum() / alpha.sum())
    assert np.diff(rows) == pytest.approx(3, abs=0.3)


def test_a_sliding_drop_comes_back_whole(sliding_rng) -> None:
    height, radius, speed = 60, 8.0, 4.0
    drops = Drops(DropParams(radius=radius, sliding=1, speed=speed), height, 50, sliding_rng)
    scene = np.full((height, 50, 3), 0.5, np.float32)
    first, *shapes = [drops.render(scene)[1] for _ in range(60)]
    away = [float(np.abs(alpha - first).sum() / first.sum()) for alpha in shapes]
    assert max(away[:30]) > 1.5  # it went to where it had not been
    assert min(away[15:]) < 1e-3  # and came back, tail and all


def test_coverage_is_met() -> None:
    for coverage in (0.05, 0.3):
        wet = []
        for seed in range(12):
            params = DropParams(coverage=coverage, radius=8, sliding=0, defocus=0)
            drops = Drops(params, 160, 240, np.random.default_rng(seed))
            wet.append((drops.render(np.zeros((160, 240, 3), np.float32))[1] > 0.1).mean())
        assert np.mean(wet) == pytest.approx(coverage, rel=0.5)


@pytest.mark.parametrize("seed", range(6))
def test_opacity_stays_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = DropParams(
        coverage=0.5, radius=float(rng.uniform(3, 26)), defocus=3.0, highlight=0.6, sliding=0.4
    )
    drops = Drops(params, 64, 80, rng)
    white = np.ones((64, 80, 3), np.float32)
    for _ in range(2):
        seen, alpha = drops.render(white)
        assert alpha.dtype == seen.dtype == np.float32
        assert alpha.min() >= 0
        assert alpha.max() <= 1
        assert seen.min() >= 0
        assert seen.max() <= 1


def test_half_opaque_water_hides_half(still_rng) -> None:
    seen, alpha = Drops(with_(CLEAR, opacity=0.5), SIZE, SIZE, still_rng).render(ramps())
    full, _ = Drops(CLEAR, SIZE, SIZE, still_rng).render(ramps())
    assert alpha.max() == pytest.approx(0.5)
    np.testing.assert_allclose(seen, 0.5 * (full + ramps()), atol=1e-6)


def test_a_dry_glass_gives_the_scene_itself(scene: np.ndarray) -> None:
    seen, alpha = Drops(DropParams(coverage=0), 96, 160, np.random.default_rng(0)).render(scene)
    assert np.array_equal(seen, scene)
    assert not alpha.any()
