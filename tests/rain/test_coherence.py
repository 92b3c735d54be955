"""Rain over a moving scene: drops keep to the glass, streaks to nothing."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from rainclear.data.deadleaves import dead_leaves
from rainclear.rain.clip import RainClip, RainParams
from rainclear.rain.drops import DropParams
from rainclear.rain.rainfall import RainfallParams

HEIGHT, WIDTH, SHIFT = 180, 320, 6
STILL = RainParams(drops=DropParams(coverage=0.03, radius=2.5, spread=0.2, sliding=0))


def drive(frames: int) -> list[np.ndarray]:
    """A scene that moves sideways by 6 pixels a frame."""
    picture = dead_leaves(np.random.default_rng(1), 420).astype(np.float32) / np.float32(255)
    return [picture[100 : 100 + HEIGHT, i * SHIFT : i * SHIFT + WIDTH] for i in range(frames)]


def movement(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    shift, _ = cv2.phaseCorrelate(first.astype(np.float64), second.astype(np.float64))
    return shift


def test_the_mask_of_a_still_drop_stays_while_the_scene_moves() -> None:
    scenes = drive(6)
    clip = RainClip(STILL, HEIGHT, WIDTH, seed=2)
    frames = [clip(scene) for scene in scenes]
    assert frames[0].drop_mask.any()
    for a, b in pairwise(frames):
        assert np.hypot(*movement(a.drop_mask, b.drop_mask)) < 1.0
        scene = movement(a.clean.mean(2), b.clean.mean(2))
        assert abs(scene[0]) == pytest.approx(SHIFT, abs=0.5)


def test_dry_glass_between_still_drops_stays_dry() -> None:
    clip = RainClip(STILL, HEIGHT, WIDTH, seed=2)
    wet = [np.any(frame.rainy != frame.clean, axis=2) for frame in map(clip, drive(5))]
    always, ever = np.logical_and.reduce(wet), np.logical_or.reduce(wet)
    assert ever.any()
    assert not ever.all()
    # What is behind a drop may happen to look like it, but no pixel outside ever changes.
    assert always.sum() > 0.5 * ever.sum()


def test_the_scene_moves_behind_the_drop() -> None:
    clip = RainClip(STILL, HEIGHT, WIDTH, seed=2)
    first, second = (clip(scene) for scene in drive(2))
    wet = first.drop_mask > 0.2
    assert np.abs(first.rainy - second.rainy)[wet].mean() > 0.01


def test_streaks_of_consecutive_frames_are_not_correlated() -> None:
    params = RainParams(rainfall=RainfallParams(rate=60, speed=30))
    clip = RainClip(params, HEIGHT, WIDTH, seed=4)
    grey = np.full((HEIGHT, WIDTH, 3), 0.3, np.float32)
    masks = [clip(grey).streak_mask for _ in range(4)]
    for a, b in pairwise(masks):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05
