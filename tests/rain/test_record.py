"""A record makes the same rain again, bit for bit."""

import json

import numpy as np
import pytest

from rainclear.errors import ConfigError
from rainclear.rain.clip import RainClip
from rainclear.rain.mixture import random_camera, random_rain
from rainclear.rain.presets import PRESETS, preset
from rainclear.rain.record import RainRecord


@pytest.mark.parametrize("name", PRESETS)
def test_json_makes_the_same_rain(name: str, scene: np.ndarray) -> None:
    clip = RainClip(preset(name, height=96), 96, 160, seed=11)
    text = json.dumps(RainRecord.of(clip).to_json(), allow_nan=False)
    again = RainRecord.from_json(json.loads(text), source="a.json").clip()
    for _ in range(2):
        first, second = clip(scene), again(scene)
        assert np.array_equal(first.rainy, second.rainy)
        assert np.array_equal(first.drop_mask, second.drop_mask)


def test_crops_of_training_too() -> None:
    rng = np.random.default_rng(5)
    camera = random_camera(rng, 40, 50)
    scene = rng.random((40, 50, 3), dtype=np.float32)
    clip = RainClip(random_rain(rng, camera), 40, 50, seed=3, camera=camera)
    record = RainRecord.of(clip)
    data = json.loads(json.dumps(record.to_json()))
    assert RainRecord.from_json(data, source="x") == record
    assert np.array_equal(record.clip()(scene).rainy, clip(scene).rainy)


def test_the_rate_is_easy_to_find() -> None:
    clip = RainClip(preset("heavy", rate=25), 48, 64, seed=0)
    assert RainRecord.of(clip).to_json()["rate"] == 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 99"),
        ({"seed": "many"}, "seed"),
        ({"camera": {}}, "camera.height"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object], message: str) -> None:
    data = RainRecord.of(RainClip(preset("moderate"), 48, 64, seed=0)).to_json() | change
    with pytest.raises(ConfigError, match=message) as caught:
        RainRecord.from_json(data, source="rain.json")
    assert "rain.json" in str(caught.value)
