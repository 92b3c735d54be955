"""Dual-pixel samples: repeatable, cut to size, wet where a half differs from the scene."""

from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from rainclear.config import DataRecipe
from rainclear.data.dual_pixel import (
    DualPixelPairs,
    held_out_pairs,
    render_water,
    water_mask,
    wet_halves,
)
from rainclear.data.scenes import Scene

Sample = dict[str, Tensor]


def spots(scene: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A square that the halves see four pixels apart, of a grey that no scene here has."""
    left, right = scene.copy(), scene.copy()
    y, x = (int(rng.integers(8, n - 16)) for n in scene.shape[:2])
    left[y : y + 6, x - 2 : x + 4] = 1.0
    right[y : y + 6, x + 2 : x + 8] = 1.0
    return left, right


def recipe(**changes: object) -> DataRecipe:
    values = {
        "include": ["*"],
        "validation": ["*"],
        "crop": 32,
        "margin": 4,
        "batch": 2,
        "dead_leaves": 0.0,
        "dry": 0.3,
    }
    return DataRecipe.model_validate(values | changes)


@pytest.fixture
def scenes() -> list[Scene]:
    coarse = np.random.default_rng(0).integers(0, 200, (2, 8, 8, 3), np.uint8)
    return [Scene(name="scene", frames=[cv2.resize(c, (70, 60))]) for c in coarse]


@pytest.fixture
def scene() -> np.ndarray:
    coarse = 0.8 * np.random.default_rng(1).random((5, 6, 3), dtype=np.float32)
    return cv2.resize(coarse, (56, 48), interpolation=cv2.INTER_LINEAR)


def same(a: Sample, b: Sample) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_sample_is_bytes_with_the_margin_cut(scene: np.ndarray) -> None:
    sample = wet_halves(scene, np.random.default_rng(0), render=spots, margin=5)
    assert sample.keys() == {"left", "right", "clean"}
    assert all(t.dtype == torch.uint8 and t.shape == (3, 38, 46) for t in sample.values())
    truth = np.rint(scene[5:-5, 5:-5] * 255).astype(np.uint8).transpose(2, 0, 1)
    assert np.array_equal(sample["clean"].numpy(), truth)


def test_dry_halves_are_the_scene(scene: np.ndarray) -> None:
    sample = wet_halves(scene, np.random.default_rng(0), render=None)
    assert torch.equal(sample["left"], sample["clean"])
    assert torch.equal(sample["right"], sample["clean"])


def test_the_masks_are_where_the_water_is(scene: np.ndarray) -> None:
    sample = wet_halves(scene, np.random.default_rng(0), render=spots)
    clean = sample["clean"][None]
    left, right = (water_mask(sample[name][None], clean) for name in ("left", "right"))
    assert left.dtype == torch.bool and left.shape == (1, 1, 48, 56)
    assert left.sum() == right.sum() == 36
    assert torch.equal(left.roll(4, dims=3), right)


def test_one_channel_is_enough_to_be_wet() -> None:
    clean = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    half = clean.clone()
    half[0, 1, 0, 1] = 1
    assert water_mask(half, clean).tolist() == [[[[False, True], [False, False]]]]


def test_a_sample_depends_on_seed_and_number_alone(scenes: list[Scene]) -> None:
    pairs = DualPixelPairs(scenes, recipe(), seed=7, render=spots)
    third = pairs.sample(3)
    pairs.sample(0)
    assert same(pairs.sample(3), third)
    assert same(DualPixelPairs(scenes, recipe(), seed=7, render=spots).sample(3), third)
    assert not same(pairs.sample(2), third)
    assert not same(DualPixelPairs(scenes, recipe(), seed=8, render=spots).sample(3), third)
    assert all(t.shape == (3, 32, 32) for t in third.values())


def test_the_shares_of_the_mixture(scenes: list[Scene]) -> None:
    def wet(**changes: object) -> int:
        pairs = DualPixelPairs(scenes, recipe(margin=0, **changes), seed=0, render=spots)
        return sum(not torch.equal(s["left"], s["clean"]) for s in islice(pairs, 12))

    assert wet(dry=1.0) == 0
    assert wet(dry=0.0) == 12
    assert 2 <= wet(dry=0.5) <= 10


def test_the_stream_begins_at_the_first_sample(scenes: list[Scene]) -> None:
    pairs = DualPixelPairs(scenes, recipe(), seed=7, render=spots)
    for i, sample in enumerate(islice(pairs, 3)):
        assert same(sample, pairs.sample(i))


def test_held_out_samples_are_the_same_in_every_call(scenes: list[Scene]) -> None:
    samples = held_out_pairs(scenes, size=(32, 128), views=3, render=spots)
    assert len(samples) == 6
    assert all(t.shape == (3, 32, 64) for s in samples for t in s.values())
    again = held_out_pairs(scenes, size=(32, 128), views=3, render=spots)
    assert all(map(same, samples, again))
    assert not same(samples[0], samples[1])
    other = held_out_pairs(scenes, size=(32, 128), views=3, seed=2, render=spots)
    assert not all(map(same, samples, other))


def test_the_generator_s_drops_lie_apart_in_the_halves() -> None:
    scene = np.full((96, 96, 3), 0.4, np.float32)
    scene[::8] = 0.9
    wet = apart = 0
    for seed in range(6):
        sample = wet_halves(scene, np.random.default_rng(seed), render=render_water)
        clean = sample["clean"][None]
        left, right = (water_mask(sample[name][None], clean) for name in ("left", "right"))
        wet += bool((left | right).any())
        apart += not torch.equal(sample["left"], sample["right"])
        again = wet_halves(scene, np.random.default_rng(seed), render=render_water)
        assert same(sample, again)
    assert wet >= 3
    assert apart >= 2
