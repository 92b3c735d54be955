"""Drops as picture editors draw them."""

from dataclasses import replace

import numpy as np
import pytest

from rainclear.rain.clip import RainClip, RainParams
from rainclear.rain.painted import PaintedDrops, PaintedParams

PLAIN = PaintedParams(coverage=0.2, radius=8, spread=0.2)


def painted(params: PaintedParams, seed: int = 3) -> PaintedDrops:
    return PaintedDrops(params, 96, 128, np.random.default_rng(seed))


@pytest.fixture
def scene() -> np.ndarray:
    return np.random.default_rng(0).random((96, 128, 3), dtype=np.float32)


def test_between_the_drops_nothing_changes(scene):
    drops = painted(PLAIN)
    seen = drops.render(scene)
    dry = drops.alpha == 0
    assert np.array_equal(seen[dry], scene[dry])
    assert np.abs(seen - scene)[drops.alpha > 0.9].mean() > 0.1
    assert seen.min() >= 0 and seen.max() <= 1 and np.isfinite(seen).all()


def test_the_same_seed_gives_the_same_drops(scene):
    first, again, other = (painted(PLAIN, seed).render(scene) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_coverage_counts_the_area():
    """Drops anywhere, on one another too: 1 - exp(-coverage) of the picture is under one."""
    for coverage in (0.05, 0.3):
        drops = painted(replace(PLAIN, coverage=coverage, radius=3, elongation=1.0))
        share = (drops.alpha > 0.5).mean()
        assert share == pytest.approx(1 - np.exp(-coverage), rel=0.25)


def test_a_soft_drop_ends_softly():
    drops = painted(replace(PLAIN, coverage=0, spread=0, feather=1.0))
    drops._draw(np.random.default_rng(0), 24.0, 1.0, 64.0, 48.0)
    rows, columns = (np.flatnonzero(drops.alpha.any(axis)) for axis in (1, 0))
    edges = [drops.alpha[rows[[0, -1]]], drops.alpha[:, columns[[0, -1]]]]
    assert max(edge.max() for edge in edges) < 0.05


def test_frosted_drops_only_blur(scene):
    frosted = painted(replace(PLAIN, zoom=1.0, blur=0, light=1.0, elongation=1.8)).render(scene)
    level = frosted / np.maximum(scene, 1e-3)
    assert np.abs(np.diff(np.median(level, (0, 1)))).max() < 0.05
    assert np.corrcoef(frosted.ravel(), scene.ravel())[0, 1] > 0.99


def test_a_drop_shows_its_surroundings_upside_down():
    """A scene black above and white below the drop: inside it is the other way round."""
    drops = painted(replace(PLAIN, coverage=0, blur=0, spread=0))
    drops._draw(np.random.default_rng(0), 12.0, 1.0, 64.0, 48.0)
    scene = np.zeros((96, 128, 3), np.float32)
    scene[48:] = 1
    seen = drops.render(scene)[:, 64, 0]
    assert seen[41] > 0.8 and seen[55] < 0.2 and seen[20] == 0 and seen[80] == 1


def test_light_and_rim_make_it_brighter_or_darker():
    grey = np.full((96, 128, 3), 0.5, np.float32)
    inside = painted(PLAIN).alpha > 0.99
    level = {
        name: painted(replace(PLAIN, **change)).render(grey)[inside].mean()
        for name, change in {
            "plain": {},
            "light": {"light": 1.3},
            "glow": {"glow": 0.5},
            "rim": {"rim": 0.6},
        }.items()
    }
    assert level["rim"] < level["plain"] < level["light"] < level["glow"]


def test_they_count_as_drops_in_the_truth(scene):
    frame = RainClip(RainParams(painted=PLAIN), 96, 128, seed=1)(scene)
    assert np.array_equal(frame.rainy, frame.drop_only)
    assert frame.drop_mask.max() > 0.5 and frame.streak_mask.max() == 0
    still = RainClip(RainParams(painted=PLAIN), 96, 128, seed=1)
    assert all(np.array_equal(still(scene).rainy, frame.rainy) for _ in range(2))
