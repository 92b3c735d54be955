from itertools import pairwise

import numpy as np
import pytest

from rainclear.evaluation.intensity import BINS, find_bin, intensity


def test_intensity_is_the_mean_difference_in_levels() -> None:
    rainy, clean = np.full((4, 5, 3), 10, np.uint8), np.full((4, 5, 3), 40, np.uint8)
    assert intensity(rainy, clean) == intensity(clean, rainy) == 30
    rainy[0, 0] = 40
    assert intensity(rainy, clean) == pytest.approx(30 * 19 / 20)
    with pytest.raises(ValueError, match="shape"):
        intensity(rainy[:1], clean)


def test_bins_leave_no_gap() -> None:
    assert BINS[0].low == 0 and BINS[-1].high > 255
    assert all(a.high == b.low for a, b in pairwise(BINS))


@pytest.mark.parametrize(
    ("level", "label"),
    [(0, "dry"), (0.49, "dry"), (0.5, "under 5"), (5, "5 to 10"), (39.9, "20 to 40"), (255, "40")],
)
def test_bin_of_a_level(level: float, label: str) -> None:
    found = find_bin(level)
    assert found.label.startswith(label) and found.low <= level < found.high
