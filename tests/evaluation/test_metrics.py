import math

import numpy as np
import pytest

from rainclear.evaluation.metrics import luma, psnr, psnr_y


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


@pytest.mark.parametrize("metric", [psnr, psnr_y])
def test_shapes_must_agree(metric) -> None:
    with pytest.raises(ValueError, match="shape"):
        metric(grey(1), grey(1, height=1))  # would broadcast
