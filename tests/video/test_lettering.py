import numpy as np
import pytest

from rainclear.video.lettering import draw_text

GROUND = 128


def written(scale: float, at: tuple[int, int] = (20, 60)) -> tuple[np.ndarray, np.ndarray]:
    """Where letters (white) and their rim (black) are."""
    canvas = np.full((120, 900, 3), GROUND, np.uint8)
    draw_text(canvas, "motorcycle #12 0.87", at, (255, 255, 255), scale=scale)
    return canvas[..., 0] > 200, canvas[..., 0] < 60


@pytest.mark.parametrize("scale", [0.36, 0.53, 1.0, 1.6])
def test_the_rim_is_as_wide_as_the_letters(scale):
    letters, rim = (np.nonzero(mask.any(axis=0))[0] for mask in written(scale))
    reach = round(1.6 * scale) + 2
    assert 0 <= rim[-1] - letters[-1] <= reach
    assert 0 <= letters[0] - rim[0] <= reach


@pytest.mark.parametrize("scale", [0.36, 1.0])
def test_letters_do_not_stick_to_the_ground(scale):
    letters, rim = written(scale)
    # In each row, a letter begins and ends beside its rim and not at the ground.
    for row in np.nonzero(letters.any(axis=1))[0]:
        columns = np.nonzero(letters[row])[0]
        near = slice(max(0, columns[0] - 4), columns[-1] + 5)
        assert rim[row, near].any()
        assert rim[row, : columns[0]].any() and rim[row, columns[-1] :].any()


def test_text_stays_below_the_upper_edge():
    low, high = written(1.0)[0], written(1.0, at=(20, -30))[0]
    assert low.sum() == high.sum() > 0
