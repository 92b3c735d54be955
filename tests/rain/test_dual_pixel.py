"""Both halves of a pixel see the same road, and drops on the glass in two places."""

import numpy as np
import pytest

from rainclear.rain.camera import Camera
from rainclear.rain.defocus import disc_kernel, half_disc_kernels
from rainclear.rain.drops import DropParams, Drops
from rainclear.rain.dual_pixel import random_dual_drops, render_halves
from rainclear.rain.glass import CAP

SIZE = 120
PARAMS = DropParams(tilt=0, glass_distance=100, sliding=0)


def drops(aperture: float, *, focus: float = 5.0) -> Drops:
    cap = np.zeros(1, CAP)
    cap["x"] = cap["y"] = SIZE / 2
    cap["radius"], cap["angle"], cap["stretch"] = 9, 0.6, 1
    camera = Camera(
        height=SIZE,
        width=SIZE,
        focal=200,
        cx=SIZE / 2,
        cy=SIZE / 2,
        aperture=aperture,
        focus=focus,
    )
    return Drops(PARAMS, camera, np.random.default_rng(0), caps=cap)


def scene() -> np.ndarray:
    return np.random.default_rng(1).random((SIZE, SIZE, 3), dtype=np.float32)


def column(mask: np.ndarray) -> float:
    return float((mask.sum(0) * np.arange(SIZE)).sum() / mask.sum())


@pytest.mark.parametrize("diameter", [0.3, 1.0, 4.7, 20.0])
def test_halves_are_mirrored_and_make_a_disc(diameter: float) -> None:
    left, right = half_disc_kernels(diameter)
    assert np.array_equal(left, right[:, ::-1])
    assert left.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose((left + right) / 2, disc_kernel(diameter), atol=1e-7)
    swapped = half_disc_kernels(-diameter)
    assert np.array_equal(swapped[0], right)
    assert np.array_equal(swapped[1], left)


def test_a_half_disc_lies_four_thirds_of_its_radius_over_pi_aside() -> None:
    left, _ = half_disc_kernels(40.0)
    at = np.arange(left.shape[1]) - left.shape[1] // 2
    assert (left.sum(0) * at).sum() == pytest.approx(4 * 20 / (3 * np.pi), rel=0.01)


def test_disparity_of_drops_grows_with_the_circle_of_confusion() -> None:
    for aperture in (0.002, 0.004, 0.01):
        water = drops(aperture)
        diameter = water.camera.blur(0.1)
        frame = render_halves(water, scene())
        # Centres of half discs lie 8 R / (3π) apart; nearer than the focus: further right at left.
        expected = 4 * diameter / (3 * np.pi)
        apart = column(frame.mask_left) - column(frame.mask_right)
        assert apart == pytest.approx(expected, rel=0.05)


def test_sides_swap_beyond_the_focus() -> None:
    frame = render_halves(drops(0.004, focus=0.05), scene())
    assert column(frame.mask_left) < column(frame.mask_right) - 2


def test_the_background_has_no_disparity() -> None:
    frame = render_halves(drops(0.004), scene())
    dry = (frame.mask_left == 0) & (frame.mask_right == 0)
    assert dry.mean() > 0.5
    assert np.array_equal(frame.left[dry], scene()[dry])
    assert np.array_equal(frame.right[dry], scene()[dry])
    top = np.s_[:30]
    scores = [
        (frame.left[top] * np.roll(frame.right[top], shift, axis=1)).mean()
        for shift in range(-4, 5)
    ]
    assert int(np.argmax(scores)) - 4 == 0


@pytest.mark.parametrize("aperture", [0.0, 0.002, 0.01])
def test_the_mean_of_the_halves_is_the_whole_aperture(aperture: float) -> None:
    frame = render_halves(drops(aperture), scene())
    whole, alpha = drops(aperture).render(scene())
    np.testing.assert_allclose(frame.combined, whole, atol=1e-5)
    np.testing.assert_allclose((frame.mask_left + frame.mask_right) / 2, alpha, atol=1e-5)


def test_random_drops_are_in_bounds_and_repeatable() -> None:
    for seed in range(6):
        frames = [
            render_halves(random_dual_drops(SIZE, SIZE, np.random.default_rng(seed)), scene())
            for _ in range(2)
        ]
        for name in ("left", "right", "combined", "mask_left", "mask_right"):
            one, two = (getattr(frame, name) for frame in frames)
            assert np.array_equal(one, two)
            assert one.dtype == np.float32
            assert one.min() >= 0
            assert one.max() <= 1
        assert frames[0].mask_left.any()
