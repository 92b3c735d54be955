"""Koschmieder's law, and the masks."""

import numpy as np
import pytest

from rainclear.rain.masks import soft_mask
from rainclear.rain.veil import add_veil, road_depth, transmission


@pytest.mark.parametrize("horizon", [-0.5, 0.0, 0.45, 1.0, 1.2])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (96, 160)])
def test_depth_is_relative(horizon: float, size: tuple[int, int]) -> None:
    depth = road_depth(*size, horizon=horizon, rng=np.random.default_rng(0))
    assert depth.shape == size
    assert depth.dtype == np.float32
    assert depth.min() > 0
    assert depth.max() <= 1


def test_the_horizon_is_far_and_the_road_in_front_is_near() -> None:
    depth = road_depth(101, 201, horizon=0.45)
    assert depth[45, 100] == pytest.approx(1, abs=0.01)
    road = depth[51:, 100]
    assert (np.diff(road) <= 0).all()
    assert road[-1] < 0.2
    assert depth[60, 0] <= depth[60, 100]


def test_a_crop_has_the_depth_of_its_part_of_the_frame() -> None:
    whole = road_depth(201, 301, horizon=0.45)
    # The rows 60 to 160 are half of the frame; their middle column is the frame's.
    part = road_depth(101, 151, horizon=(0.45 - 0.3) / 0.5, span=0.5)
    np.testing.assert_allclose(part[:, 75], whole[60:161, 150], atol=0.02)
    # Without the span, the road would come near too fast.
    close = road_depth(101, 151, horizon=(0.45 - 0.3) / 0.5)
    assert close[-1, 75] < 0.7 * whole[160, 150]


def test_less_light_arrives_from_further_away() -> None:
    depth = np.linspace(0.02, 1, 50, dtype=np.float32)[:, None]
    share = transmission(depth, 0.8)
    assert share.dtype == np.float32
    assert (np.diff(share[:, 0]) < 0).all()
    assert share.min() > 0
    assert share.max() <= 1
    assert share[-1, 0] == pytest.approx(np.exp(-0.8))
    assert (transmission(depth, 0.0) == 1).all()
    assert (transmission(depth, 1.6) < share).all()


def test_an_infinite_veil_is_all_air(scene: np.ndarray) -> None:
    air = np.array([0.7, 0.8, 0.9], np.float32)
    depth = road_depth(96, 160)
    assert np.array_equal(
        add_veil(scene, transmission(depth, np.inf), air), np.broadcast_to(air, scene.shape)
    )
    assert np.array_equal(add_veil(scene, transmission(depth, 0.0), air), scene)


def test_the_veil_mixes() -> None:
    scene = np.full((2, 2, 3), 0.2, np.float32)
    share = np.full((2, 2), 0.25, np.float32)
    mixed = add_veil(scene, share, np.array([1.0, 0.6, 0.2], np.float32))
    np.testing.assert_allclose(mixed[0, 0], [0.8, 0.5, 0.2], atol=1e-6)


def test_a_soft_mask_is_the_mean_difference() -> None:
    clean = np.full((1, 3, 3), 0.5, np.float32)
    rainy = clean.copy()
    rainy[0, 1] = [0.8, 0.5, 0.5]
    rainy[0, 2] = [0.1, 0.9, 0.5]
    fixed = soft_mask(rainy, clean, full_scale=0.2)
    np.testing.assert_allclose(fixed, [[0, 0.5, 1.0]], atol=1e-6)  # 0.8 / 3 is over full scale
    own = soft_mask(rainy, clean)
    np.testing.assert_allclose(own, [[0, 0.375, 1.0]], atol=1e-6)
    assert own.dtype == np.float32
    assert not soft_mask(clean, clean).any()
