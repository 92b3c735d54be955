import math

import numpy as np
import pytest

from rainclear.evaluation.metrics import luma, psnr, psnr_y, ssim, ssim_y, temporal_error


def grey(level: int, *, height: int = 4, width: int = 5) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("difference", "decibels"), [(1, 48.1308), (10, 28.1308), (255, 0.0)])
def test_psnr_of_a_known_error(difference: int, decibels: float) -> None:
    dark, bright = grey(0), grey(difference)
    assert psnr(dark, bright) == pytest.approx(decibels, abs=1e-4)
    assert psnr(bright, dark) == pytest.approx(decibels, abs=1e-4)  # and bytes do not wrap round


def test_psnr_averages_squares() -> None:
    picture = grey(100)
    picture[0, 0] = 140  # one pixel of twenty
    assert psnr(picture, grey(100)) == pytest.approx(10 * math.log10(255**2 / (1600 / 20)))


def test_equal_pictures_are_infinitely_close() -> None:
    assert psnr(grey(7), grey(7)) == math.inf
    assert psnr_y(grey(7), grey(7)) == math.inf


def test_luma_runs_from_16_to_235() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0]]], np.uint8)
    np.testing.assert_allclose(luma(colours)[0], [16, 235, 81.481, 144.553], atol=1e-3)


def test_psnr_y_of_a_known_error() -> None:
    step = 10 * 219 / 255  # ten levels of grey in luma
    expected = 10 * math.log10(255**2 / step**2)
    assert psnr_y(grey(100), grey(110)) == pytest.approx(expected)
    red = grey(100)
    red[..., 0] += 10
    expected = 10 * math.log10(255**2 / (10 * 65.481 / 255) ** 2)
    assert psnr_y(red, grey(100)) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [psnr, psnr_y, ssim_y])
def test_shapes_must_agree(metric) -> None:
    with pytest.raises(ValueError, match="shape"):
        metric(grey(1), grey(1, height=1))  # would broadcast


def scene() -> np.ndarray:
    y, x = np.mgrid[0:24, 0:32]
    return np.stack([4 * x + 2 * y, 8 * y, 200 - 3 * x], -1).astype(np.uint8)


def test_ssim_is_that_of_scikit_image() -> None:
    rainy = scene()
    rainy[8:16, 8:20] = 250
    # structural_similarity(luma, luma, data_range=255, gaussian_weights=True, sigma=1.5,
    # use_sample_covariance=False) of scikit-image 0.26
    assert ssim_y(rainy, scene()) == pytest.approx(0.2421546025147843, abs=1e-12)
    assert ssim_y(scene(), rainy) == pytest.approx(ssim_y(rainy, scene()), abs=1e-12)


def test_ssim_of_one_window_is_the_formula() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0, 255, (2, 11, 11))
    g = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g) / g.sum() ** 2
    ma, mb = (w * a).sum(), (w * b).sum()
    va, vb, cov = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb))
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * ma * mb + c1) * (2 * cov.sum() + c2)
    expected /= (ma**2 + mb**2 + c1) * (va + vb + c2)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-12)


def test_ssim_counts_whole_windows_alone() -> None:
    a = luma(scene())
    b = a.copy()
    b[0, 0] += 200  # a corner belongs to a single window, where its weight is tiny
    assert 0.9999 < ssim(a, b) < 1
    b = a.copy()
    b[12, 16] += 200
    assert ssim(a, b) < 0.9


def test_ssim_of_equal_and_of_flat_pictures() -> None:
    assert ssim_y(scene(), scene()) == pytest.approx(1, abs=1e-12)
    a, b = 100.0, 140.0
    flat = np.full((12, 13), a), np.full((12, 13), b)
    assert ssim(*flat) == pytest.approx((2 * a * b + 2.55**2) / (a**2 + b**2 + 2.55**2), abs=1e-9)


@pytest.mark.parametrize("shape", [(10, 40), (40, 10), (11, 11, 3)])
def test_ssim_needs_a_grey_picture_of_a_window(shape) -> None:
    with pytest.raises(ValueError, match="11×11"):
        ssim(np.zeros(shape), np.zeros(shape))


def test_temporal_error_is_blind_to_a_constant_error() -> None:
    assert temporal_error(grey(50), grey(70), grey(100), grey(120)) == 0


def test_temporal_error_of_a_flash_does_not_wrap_round() -> None:
    assert temporal_error(grey(0), grey(255), grey(255), grey(0)) == 510
    flash = grey(100)
    flash[0, 0] = 140  # one pixel of twenty
    assert temporal_error(grey(100), flash, grey(9), grey(9)) == pytest.approx(2)
