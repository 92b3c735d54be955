import numpy as np
import pytest

from rainclear.data.deadleaves import dead_leaves


@pytest.mark.parametrize("size", [32, 65])
def test_a_picture_of_shapes(size: int) -> None:
    picture = dead_leaves(np.random.default_rng(1), size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    edges = np.abs(np.diff(picture.astype(int), axis=1)).max(2)
    assert (edges > 30).any()
    assert (edges < 5).any()


def test_the_seed_decides_the_picture() -> None:
    first, again, other = (dead_leaves(np.random.default_rng(seed), 48) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
