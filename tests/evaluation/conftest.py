from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.evaluation.cases import Case, Shown


class Brightener:
    """Stands for a derainer: adds 1 level to the first frame since reset, 2 to the second, …"""

    def __init__(self, scale: int = 1) -> None:
        self.scale, self.frames, self.resets = scale, 0, 0

    def reset(self) -> None:
        self.frames, self.resets = 0, self.resets + 1

    def process(self, picture: np.ndarray) -> np.ndarray:
        self.frames += 1
        return picture + np.uint8(self.scale * self.frames)


@pytest.fixture
def brightener() -> type[Brightener]:
    return Brightener


def grey(level: int) -> np.ndarray:
    return np.full((12, 16, 3), level, np.uint8)


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """A case whose rainy frames have the grey levels given, over truths of other levels."""

    def make(name: str, *levels: tuple[int, int], clip: bool = False) -> Case:
        def frames() -> Iterator[Shown]:
            for index, (rainy, clean) in enumerate(levels):
                yield Shown(name=str(index), rainy=grey(rainy), clean=grey(clean))

        return Case(name=name, clip=clip, frames=len(levels), open=frames)

    return make


@pytest.fixture
def write_grey(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, level: int, *, size: tuple[int, int] = (12, 16)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((*size, 3), level, np.uint8))
        return path

    return write
