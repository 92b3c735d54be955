"""Training samples: cut to size, repeatable, the same whoever makes them."""

from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from rainclear.config import DataRecipe
from rainclear.data import rainy as module
from rainclear.data.rainy import RainyClips, rain_on
from rainclear.data.scenes import Scene
from rainclear.rain.clip import RainClip, RainParams
from rainclear.rain.drops import DropParams
from rainclear.rain.presets import preset

Sample = dict[str, Tensor]
KEYS = {"rainy", "clean", "streaks", "drops"}


def recipe(**changes: object) -> DataRecipe:
    values = {
        "include": ["*"],
        "validation": ["*"],
        "frames": 2,
        "crop": 32,
        "margin": 4,
        "batch": 2,
        "dead_leaves": 0.0,
        "dry": 0.3,
    }
    return DataRecipe.model_validate(values | changes)


@pytest.fixture
def scenes() -> list[Scene]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    return [Scene(name="scene", frames=[cv2.resize(c, (70, 60))]) for c in coarse]


@pytest.fixture
def clip() -> list[np.ndarray]:
    coarse = np.random.default_rng(1).random((5, 6, 3), dtype=np.float32)
    frame = np.clip(cv2.resize(coarse, (56, 48)), 0, 1)
    return [frame, frame[:, ::-1].copy()]


def same(a: Sample, b: Sample) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("params", [None, preset("heavy", height=96)], ids=["dry", "heavy"])
def test_samples_are_bytes_with_the_margin_cut(
    clip: list[np.ndarray], params: RainParams | None
) -> None:
    sample = rain_on(clip, params, seed=3, margin=5)
    assert sample.keys() == KEYS
    for name, value in sample.items():
        assert value.dtype == torch.uint8
        assert value.shape == (2, 3 if name in ("rainy", "clean") else 1, 38, 46)
    truth = np.rint(np.stack(clip)[:, 5:-5, 5:-5] * 255).astype(np.uint8).transpose(0, 3, 1, 2)
    assert np.array_equal(sample["clean"].numpy(), truth)


def test_dry_clips_stay_as_they_are(clip: list[np.ndarray]) -> None:
    sample = rain_on(clip, None, seed=3)
    assert torch.equal(sample["rainy"], sample["clean"])
    assert not sample["streaks"].any()
    assert not sample["drops"].any()


def test_one_mask_of_all_rain(scenes: list[Scene]) -> None:
    """For networks with one branch, which must find streaks and drops alike."""
    plain, joint = (
        RainyClips(scenes, recipe(dry=0.0, joint_mask=both), seed=7).sample(2)
        for both in (False, True)
    )
    assert torch.equal(plain["rainy"], joint["rainy"])
    assert not torch.equal(plain["streaks"], plain["drops"])
    assert torch.equal(joint["streaks"], joint["drops"])
    change = (joint["rainy"].float() - joint["clean"].float()).abs().mean(1, keepdim=True)
    assert torch.equal(joint["streaks"], (change / 0.3).clamp(0, 255).round().byte())


def test_rain_is_that_of_the_seed(clip: list[np.ndarray]) -> None:
    params = preset("heavy", height=96)
    sample = rain_on(clip, params, seed=3)
    rain = RainClip(params, 48, 56, seed=3)
    for t, picture in enumerate(clip):
        frame = rain(picture)
        for name, value in (("rainy", frame.rainy), ("streaks", frame.streak_mask[..., None])):
            expected = np.rint(value * 255).astype(np.uint8).transpose(2, 0, 1)
            assert np.array_equal(sample[name][t].numpy(), expected)
    assert sample["streaks"].any()
    assert sample["drops"].any()
    assert not same(sample, rain_on(clip, params, seed=4))


def test_drops_see_beyond_the_crop(clip: list[np.ndarray]) -> None:
    params = RainParams(drops=DropParams(coverage=0.6, radius=12, sliding=0))
    inner = [picture[8:-8, 8:-8].copy() for picture in clip]
    wide, narrow = rain_on(clip, params, seed=1, margin=8), rain_on(inner, params, seed=1)
    assert wide["rainy"].shape == narrow["rainy"].shape
    assert not torch.equal(wide["rainy"], narrow["rainy"])


def test_a_sample_depends_on_seed_and_number_alone(scenes: list[Scene]) -> None:
    clips = RainyClips(scenes, recipe(), seed=7)
    third = clips.sample(3)
    clips.sample(0)
    assert same(clips.sample(3), third)
    assert same(RainyClips(scenes, recipe(), seed=7).sample(3), third)
    assert not same(clips.sample(2), third)
    assert not same(RainyClips(scenes, recipe(), seed=8).sample(3), third)


def test_start_goes_on_where_a_run_stopped(scenes: list[Scene]) -> None:
    whole = list(islice(RainyClips(scenes, recipe(), seed=7), 5))
    rest = list(islice(RainyClips(scenes, recipe(), seed=7, start=2), 3))
    assert all(same(a, b) for a, b in zip(whole[2:], rest, strict=True))


def batches(scenes: list[Scene], *, workers: int, start: int = 0, count: int = 4) -> list[Sample]:
    clips = RainyClips(scenes, recipe(), seed=7, start=start)
    return list(islice(DataLoader(clips, batch_size=2, num_workers=workers), count))


def test_the_batches_do_not_depend_on_the_number_of_workers(scenes: list[Scene]) -> None:
    alone = batches(scenes, workers=0)
    clips = RainyClips(scenes, recipe(), seed=7)
    for i, batch in enumerate(alone):
        for j in range(2):
            assert same({k: v[j] for k, v in batch.items()}, clips.sample(2 * i + j))
    for workers in (1, 2):
        assert all(map(same, batches(scenes, workers=workers), alone))


def test_a_resumed_run_sees_the_batches_that_were_left(scenes: list[Scene]) -> None:
    """After a number of batches, too, that the workers do not share equally."""
    whole = batches(scenes, workers=0)
    rest = batches(scenes, workers=2, start=2, count=3)
    assert all(map(same, whole[1:], rest))


def test_the_shares_of_the_mixture(scenes: list[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAVES", 1)
    monkeypatch.setattr(module, "dead_leaves", lambda rng: np.zeros((64, 64, 3), np.uint8))
    dry = [RainyClips(scenes, recipe(dry=1.0), seed=0).sample(i) for i in range(4)]
    assert all(torch.equal(s["rainy"], s["clean"]) for s in dry)
    wet = [RainyClips(scenes, recipe(dry=0.0), seed=0).sample(i) for i in range(4)]
    assert not any(torch.equal(s["rainy"], s["clean"]) for s in wet)
    leaves = RainyClips(scenes, recipe(dead_leaves=1.0), seed=0)
    assert len(leaves.leaves) == 1
    assert all(leaves.sample(i)["clean"].float().mean() < 6 for i in range(4))  # noise on black
    half = RainyClips(scenes, recipe(dead_leaves=0.5), seed=0)
    black = [bool(half.sample(i)["clean"].float().mean() < 6) for i in range(20)]
    assert 4 <= sum(black) <= 16


def test_long_videos_are_drawn_more_often_but_not_in_proportion() -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    scenes = [Scene(name=str(n), frames=[frame] * n) for n in (1, 64)]
    weights = RainyClips(scenes, recipe(), seed=0).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(7)


def test_the_share_of_showers(scenes: list[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name in ("random_rain", "random_weather"):
        original = getattr(module, name)

        def count(*a: object, _name: str = name, _original: Any = original) -> Any:
            drawn.append(_name)
            return _original(*a)

        monkeypatch.setattr(module, name, count)
    for share, expected in ((0.0, {"random_rain"}), (1.0, {"random_weather"})):
        drawn.clear()
        clips = RainyClips(scenes, recipe(dry=0.2, weather=share), seed=0)
        for i in range(12):
            clips.sample(i)
        assert set(drawn) == expected
        assert 5 < len(drawn) < 12  # the dry ones draw none
