"""Rain over a clip: repeatable, within bounds, and nothing where there is none."""

from dataclasses import fields

import numpy as np
import pytest

from rainclear.errors import ConfigError
from rainclear.rain.camera import Camera, Optics
from rainclear.rain.clip import MASK_FULL_SCALE, RainClip, RainParams, RainyFrame
from rainclear.rain.drops import DropParams
from rainclear.rain.masks import soft_mask
from rainclear.rain.mixture import random_camera, random_rain, random_weather, road_camera
from rainclear.rain.presets import PRESETS, preset
from rainclear.rain.rainfall import RainfallParams
from rainclear.rain.streaks import StreakLayer

PICTURES = ("rainy", "drop_only", "clean")
MASKS = ("streak_mask", "drop_mask")


def rain(
    params: RainParams, scene: np.ndarray, *, seed: int = 0, frames: int = 2
) -> list[RainyFrame]:
    clip = RainClip(params, *scene.shape[:2], seed=seed)
    return [clip(scene) for _ in range(frames)]


def check_bounds(frame: RainyFrame, scene: np.ndarray) -> None:
    for name in PICTURES + MASKS:
        value = getattr(frame, name)
        assert value.dtype == np.float32, name
        assert value.shape == (scene.shape if name in PICTURES else scene.shape[:2]), name
        assert value.min() >= 0, name
        assert value.max() <= 1, name


@pytest.mark.parametrize("name", PRESETS)
def test_the_seed_decides_everything(name: str, scene: np.ndarray) -> None:
    params = preset(name, height=96)
    first, again, other = (rain(params, scene, seed=seed) for seed in (4, 4, 5))
    for a, b in zip(first, again, strict=True):
        for field in fields(RainyFrame):
            assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name
    assert not np.array_equal(first[0].rainy, other[0].rainy)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [(96, 160), (37, 53), (7, 5)])
def test_every_preset_at_every_size(name: str, size: tuple[int, int]) -> None:
    scene = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    for frame in rain(preset(name, height=size[0]), scene):
        check_bounds(frame, scene)
        if size == (96, 160):
            assert frame.streak_mask.any()
            assert frame.drop_mask.any() == (PRESETS[name].drops is not None)


@pytest.mark.parametrize("seed", range(16))
def test_random_rain_stays_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = np.round(rng.random((45, 61, 3), dtype=np.float32))  # black and white: the extremes
    camera = random_camera(rng, 45, 61)
    clip = RainClip(random_rain(rng, camera), 45, 61, seed=seed, camera=camera)
    for _ in range(2):
        check_bounds(clip(scene), scene)


def test_random_rain_holds_all_three_kinds() -> None:
    camera = Camera.of(Optics(), 128, 128)
    draws = [random_rain(np.random.default_rng(seed), camera) for seed in range(200)]
    kinds = {(bool(p.layers), p.rainfall is not None, bool(p.drops or p.painted)) for p in draws}
    streaks = {(True, False), (False, True), (True, True)}
    assert kinds == {(*s, d) for s in streaks for d in (True, False)} | {(False, False, True)}
    water = {(p.drops is not None, p.painted is not None) for p in draws}
    assert water == {(False, False), (True, False), (False, True), (True, True)}
    assert random_rain(np.random.default_rng(1), camera) == draws[1]


def test_no_rain_changes_nothing(scene: np.ndarray) -> None:
    for frame in rain(RainParams(), scene):
        for name in PICTURES:
            assert np.array_equal(getattr(frame, name), scene), name
        for name in MASKS:
            assert not getattr(frame, name).any(), name


def test_the_scene_itself_is_not_written_to(scene: np.ndarray) -> None:
    before = scene.copy()
    rain(preset("heavy", height=96), scene)
    assert np.array_equal(scene, before)


def test_masks_tell_streaks_from_drops(scene: np.ndarray) -> None:
    for frame in rain(preset("heavy", height=96), scene):
        streaks = soft_mask(frame.rainy, frame.drop_only, full_scale=MASK_FULL_SCALE)
        drops = soft_mask(frame.drop_only, frame.clean, full_scale=MASK_FULL_SCALE)
        assert np.array_equal(frame.streak_mask, streaks)
        assert np.array_equal(frame.drop_mask, drops)
    only_drops = rain(RainParams(drops=DropParams(coverage=0.1)), scene)[0]
    assert not only_drops.streak_mask.any()
    assert (only_drops.drop_mask == 0).any()
    dry = np.equal(only_drops.rainy, only_drops.clean).all(2)
    assert dry.any()
    assert not only_drops.drop_mask[dry].any()
    assert (only_drops.drop_mask[~dry] > 0).all()
    assert not rain(preset("rain100h", height=96), scene)[0].drop_mask.any()


def test_streaks_are_new_in_every_frame_and_drops_stay(scene: np.ndarray) -> None:
    params = RainParams(
        layers=(StreakLayer(density=0.05, length=12),), drops=DropParams(coverage=0.2, sliding=0)
    )
    first, second = rain(params, scene)
    assert np.array_equal(first.drop_only, second.drop_only)
    assert np.array_equal(first.drop_mask, second.drop_mask)
    a, b = (f.streak_mask - f.streak_mask.mean() for f in (first, second))
    assert abs((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())) < 0.1


@pytest.mark.parametrize("family", ["lines", "noise"])
@pytest.mark.parametrize("additive", [False, True])
def test_more_density_is_further_from_the_truth(
    family: str, additive: bool, scene: np.ndarray
) -> None:
    psnr = []
    for density in (0.005, 0.02, 0.08, 0.3):
        layer = StreakLayer(family=family, density=density, length=12, opacity=0.6, wander=0)
        frames = rain(RainParams(layers=(layer,), additive=additive), scene, frames=3)
        error = np.mean([np.square(f.rainy - scene).mean() for f in frames])
        psnr.append(-10 * np.log10(error))
    assert psnr == sorted(psnr, reverse=True)
    assert psnr[0] > psnr[-1] + 3


def test_covering_streaks_never_darken(scene: np.ndarray) -> None:
    for additive in (False, True):
        params = RainParams(layers=(StreakLayer(density=0.1),), additive=additive)
        for frame in rain(params, scene):
            assert (frame.rainy >= scene).all()
            assert (frame.rainy > scene).any()


def test_the_veil_takes_the_colour_of_the_air(scene: np.ndarray) -> None:
    params = RainParams(veil=1e6, airlight=0.5, tint=(1.2, 1.0, 0.8))
    frame = rain(params, scene)[0]
    np.testing.assert_allclose(
        frame.rainy, np.broadcast_to(np.float32([0.6, 0.5, 0.4]), scene.shape), atol=1e-6
    )
    assert np.array_equal(frame.drop_only, scene)


def test_presets_scale_with_the_picture() -> None:
    assert preset("heavy", height=720) == PRESETS["heavy"]
    for name, params in PRESETS.items():
        double = preset(name, height=1440)
        for layer, scaled in zip(params.layers, double.layers, strict=True):
            assert scaled.length == pytest.approx(2 * layer.length)
            assert scaled.width == pytest.approx(2 * layer.width)
            assert (scaled.density, scaled.angle) == (layer.density, layer.angle)
        assert (double.rainfall, double.drops) == (params.rainfall, params.drops)  # real units


@pytest.mark.parametrize("name", ["drizzle", "moderate", "heavy", "storm"])
def test_psnr_falls_as_the_rate_rises(name: str, scene: np.ndarray) -> None:
    psnr = []
    for rate in (1, 4, 16, 64, 200):
        frames = rain(preset(name, height=96, rate=rate, coverage=0), scene, frames=4)
        psnr.append(-10 * np.log10(np.mean([np.square(f.rainy - scene).mean() for f in frames])))
    assert psnr == sorted(psnr, reverse=True)
    assert psnr[0] > psnr[-1] + 6


def test_rate_speed_and_drops_can_be_chosen() -> None:
    params = preset("heavy", rate=3, speed=100, coverage=0.2)
    assert params.rainfall == RainfallParams(rate=3, speed=100, wind=2.0)
    assert params.rate == 3
    assert params.veil < PRESETS["heavy"].veil
    assert params.drops is not None
    assert (params.drops.coverage, params.drops.speed) == (0.2, 100)
    assert preset("heavy", coverage=0).drops is None
    assert preset("rain100h", rate=5).rate == 5
    assert PRESETS["rain100h"].rate is None


@pytest.mark.parametrize(
    ("option", "value"), [("rate", -1), ("rate", 1e4), ("speed", 900), ("coverage", 1.5)]
)
def test_values_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{value:g}"):
        preset("heavy", **{option: value})


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="drizzel") as caught:
        preset("drizzel")
    for name in PRESETS:
        assert name in str(caught.value)


@pytest.mark.parametrize("seed", range(8))
def test_random_weather_stays_within_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = np.round(rng.random((48, 48, 3), dtype=np.float32))
    camera = road_camera(rng, 48, top=0.3, share=0.4)
    clip = RainClip(random_weather(rng), 48, 48, seed=seed, camera=camera)
    for _ in range(2):
        check_bounds(clip(scene), scene)


def test_the_veil_of_a_shower_follows_its_rate() -> None:
    showers = [random_weather(np.random.default_rng(seed)) for seed in range(200)]
    veiled = [p for p in showers if p.veil > 0]
    rates = np.log([p.rate for p in veiled])
    assert 160 < len(veiled) < 200
    assert np.corrcoef(rates, np.log([p.veil for p in veiled]))[0, 1] > 0.8
    assert 10 < sum(p.drops is None for p in showers) < 60


def test_road_camera_looks_ahead_whatever_window_is_taken() -> None:
    for seed in range(20):
        camera = road_camera(np.random.default_rng(seed), 100, top=0.2, share=0.5)
        assert camera.cy == pytest.approx(60)  # the middle of a frame of 200, 40 below its top
        assert 100 < camera.focal < 450
