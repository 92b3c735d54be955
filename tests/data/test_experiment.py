"""Data of the paper's experiments."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rainclear.config import DataRecipe
from rainclear.data.experiment import PairClips, draw_rain, intensity_points, open_experiment
from rainclear.data.protocol import Pair
from rainclear.errors import InputError
from rainclear.rain.mixture import random_camera

RECIPE = DataRecipe(include=("x",), validation=("x",), frames=1, backprop=1, crop=32, margin=4)
JOINT = RECIPE.model_copy(update={"joint_mask": True})


def flat(value: int, *shape: int) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def pair(**changes: object) -> Pair:
    y, x = np.mgrid[0:40, 0:48]
    clean = np.stack([y, x, y + x], -1).astype(np.uint8)
    values = {"name": "p", "rainy": clean + 60, "clean": clean, "drop_only": clean + 20}
    return Pair(**(values | changes))


def test_crops_of_all_pictures_are_the_same_place() -> None:
    clips = PairClips([pair()], RECIPE, seed=0)
    places = set()
    for index in range(12):
        made = clips.sample(index)
        assert made["rainy"].shape == (1, 3, 32, 32)
        assert torch.equal(made["rainy"].int() - 60, made["clean"].int())
        full = 0.3 * 255
        assert (made["streaks"].float() - 255 * 40 / full).abs().max() <= 1
        assert (made["drops"].float() - 255 * 20 / full).abs().max() <= 1
        rows = made["clean"][0, 1, 0]
        places.add((int(rows[0]), bool(rows[1] > rows[0])))
        assert torch.equal(clips.sample(index)["rainy"], made["rainy"])
    assert len(places) > 6
    assert {forward for _, forward in places} == {True, False}  # flipped at times


def test_one_mask_of_all_rain_for_networks_with_one_branch() -> None:
    made = PairClips([pair()], JOINT, seed=0).sample(0)
    assert torch.equal(made["streaks"], made["drops"])
    assert (made["streaks"].float() - 255 * 60 / (0.3 * 255)).abs().max() <= 1


def test_a_mask_of_the_data_set_is_taken_as_it_is() -> None:
    clips = PairClips([pair(streak_mask=flat(77, 40, 48))], RECIPE, seed=0)
    assert (clips.sample(0)["streaks"] == 77).all()


def test_a_picture_smaller_than_the_crop_is_named() -> None:
    small = pair(rainy=flat(1, 16, 48, 3), clean=flat(1, 16, 48, 3), drop_only=None)
    with pytest.raises(InputError, match="p: 48×16 is smaller than the crop of 32"):
        PairClips([small], JOINT, seed=0).sample(0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(3):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"[{number}].png"), cv2.resize(coarse, (90, 80)))
    return tmp_path


@pytest.mark.parametrize("kind", ["joint", "streaks", "drops"])
def test_clean_pictures_are_rained_on(pictures: Path, kind: str) -> None:
    data = open_experiment(pictures, kind)
    assert "generated" in data.source
    assert [scene.name for scene in data.train] == ["[0].png", "[1].png"]
    clips = data.clips(RECIPE, seed=0)
    made = [clips.sample(index) for index in range(3)]
    assert any(m["streaks"].any() for m in made) == (kind != "drops")
    assert any(m["drops"].any() for m in made) == (kind != "streaks")
    assert all(m["rainy"].shape == (1, 3, 32, 32) for m in made)
    test = data.some(2)
    assert len(test) == 2
    assert len(data.test) == 4
    assert test[0].rainy.shape == (256, 256, 3)
    assert np.array_equal(open_experiment(pictures, kind).some(2)[0].rainy, test[0].rainy)
    whole = data.clips(JOINT, seed=0).sample(0)
    assert torch.equal(whole["rainy"], made[0]["rainy"])
    assert torch.equal(whole["streaks"], whole["drops"])


def test_too_little_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data folder"):
        open_experiment(tmp_path / "none", "joint")
    with pytest.raises(InputError, match="no jrsrd set and holds 0"):
        open_experiment(tmp_path, "joint")


def test_rain_of_each_kind() -> None:
    rng = np.random.default_rng(0)
    camera = random_camera(rng, 64, 64)
    for kind, streaks, drops in (
        ("joint", True, True),
        ("streaks", True, False),
        ("drops", False, True),
    ):
        rain = draw_rain(kind, rng, camera)
        assert bool(rain.layers) == streaks
        assert (rain.drops is not None) == drops
        assert rain.rainfall is None


def test_more_rain_makes_more_difference() -> None:
    """Fig. 1(b)."""
    dark = [np.full((96, 96, 3), 40, np.uint8)] * 3
    points = intensity_points(dark)
    assert len(points) == 12
    assert all(0.2 <= noise <= 0.6 for noise, _ in points)
    noise, difference = np.array(points).T
    assert np.corrcoef(noise, difference)[0, 1] > 0.5
