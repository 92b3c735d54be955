"""A detector that finds bright squares, so that tests need no weights."""

import numpy as np
import pytest

from rainclear.detection.detections import Detections


class SquareFinder:
    """Finds the bounding box of pixels whose red is above 240; a car if there is one."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, frames):
        found = []
        for frame in frames:
            assert frame.dtype == np.uint8
            self.shapes.append(frame.shape)
            rows, columns = np.nonzero(frame[..., 0] > 240)
            if len(rows):
                box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                found.append(Detections.of([box], [0.9], [2]))
            else:
                found.append(Detections.of([], [], []))
        return found


@pytest.fixture
def detector() -> SquareFinder:
    return SquareFinder()


@pytest.fixture
def squares(tmp_path):
    """A clip whose bright square moves right by 2 pixels a frame."""
    from fractions import Fraction

    from rainclear.frame import Frame
    from rainclear.video import VideoInfo, VideoWriter

    path = tmp_path / "squares.mp4"
    info = VideoInfo(path=path, width=96, height=64, time_base=Fraction(1, 25))
    with VideoWriter(path, template=info, keep_streams=False, crf=4) as writer:
        for i in range(6):
            pixels = np.full((64, 96, 3), 60, np.uint8)
            pixels[20:44, 10 + 2 * i : 34 + 2 * i] = 255
            writer.write(Frame(pixels=pixels, pts=i, time_base=Fraction(1, 25), index=i))
    return path
