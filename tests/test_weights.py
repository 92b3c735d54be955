"""The shipped weights do what the package promises: less rain, dry pictures left alone."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from rainclear import Derainer, VideoReader
from rainclear.data.deadleaves import dead_leaves
from rainclear.evaluation.metrics import Picture, psnr
from rainclear.evaluation.restoration import evaluate_clip, evaluate_pairs
from rainclear.rain.clip import RainClip, RainParams
from rainclear.rain.presets import preset
from rainclear.rain.rainfall import RainfallParams

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
HELD_OUT = SHARED / "driving_video" / "udacity_solidWhiteRight.mp4"
PAIRS = SHARED / "rain_pairs" / "raincityscapes"

needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data folder")


@pytest.fixture(scope="module")
def derainer() -> Derainer:
    return Derainer("d-daiam-rt", device="cpu")


def rained(frames: list[Picture], params: RainParams) -> Iterator[tuple[Picture, Picture]]:
    height, width = frames[0].shape[:2]
    rain = RainClip(params, height, width, seed=0)
    for clean in frames:
        rainy = rain(clean.astype(np.float32) / np.float32(255)).rainy
        yield np.rint(rainy * 255).astype(np.uint8), clean


def drawn_clip(frames: int = 6) -> list[Picture]:
    # Half as bright, as rain shows on dark scenes.
    picture = dead_leaves(np.random.default_rng(7), 400) // 2
    return [np.ascontiguousarray(picture[2 * i : 2 * i + 240, i : i + 320]) for i in range(frames)]


def test_streaks_go(derainer: Derainer):
    rain = RainParams(rainfall=RainfallParams(rate=200, speed=40, light=12))
    scores = evaluate_clip(rained(drawn_clip(), rain), derainer)
    assert scores.rgb_output > scores.rgb_input + 1.0


def test_dry_pictures_stay(derainer: Derainer):
    clip = drawn_clip()
    assert evaluate_clip(((f, f) for f in clip), derainer).rgb_output > 40.0


@needs_data
def test_held_out_video_gains_four_decibels(derainer: Derainer):
    with VideoReader(HELD_OUT) as reader:
        clip = [np.ascontiguousarray(f.eight_bit()[200:440, 300:700]) for f in islice(reader, 8)]
    scores = evaluate_clip(rained(clip, preset("rain100h", height=480)), derainer)
    assert scores.rgb_output > scores.rgb_input + 4.0
    assert evaluate_clip(((f, f) for f in clip), derainer).rgb_output > 40.0


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["moderate", "heavy"])
def test_a_scene_that_lasts_does_not_grow_dark(derainer: Derainer, kind: str):
    # Where the encoder never began anew, gains of 6 and 8 dB were 3 and 5 after sixty frames.
    with VideoReader(HELD_OUT) as reader:
        clip = [np.ascontiguousarray(f.eight_bit()) for f in islice(reader, 52)]
    derainer.reset()
    gains, bias = [], []
    for rainy, clean in rained(clip, preset(kind, height=540)):
        shown = derainer.process(rainy)
        gains.append(psnr(shown, clean) - psnr(rainy, clean))
        bias.append(float(shown.mean() - clean.mean()))
    assert np.mean(gains[-8:]) > np.mean(gains[:8]) - 0.5
    assert np.mean(gains[-8:]) > 5.0
    assert abs(np.mean(bias[-8:])) < 5.0


@needs_data
def test_rain_of_another_generator_gets_less(derainer: Derainer):
    scores = evaluate_pairs(PAIRS / "rain", PAIRS / "clean", derainer)
    assert scores.pictures == 9
    assert scores.y_output > scores.y_input
