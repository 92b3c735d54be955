import numpy as np

from rainclear.detection.detections import Detections
from rainclear.frame import Frame
from rainclear.pipeline.draw import LOST, WON
from rainclear.web.objects import find_objects

GLOVE = 35


def test_text_lies_on_its_rim():
    frames = [Frame(pixels=np.full((720, 1280, 3), 128, np.uint8)) for _ in range(2)]
    found = [
        Detections.of([[50, 100, 900, 300]], [0.5], [GLOVE]),
        Detections.of([[50, 500, 900, 700]], [0.5], [GLOVE]),
    ]
    before, after, counts = find_objects(*frames, lambda pictures: found)
    assert (counts.before, counts.after, counts.won, counts.lost) == (1, 1, 1, 1)
    for frame, colour, top in ((before, LOST, 100), (after, WON, 500)):
        label = frame.pixels[top - 40 : top - 2].astype(int)
        inked = np.nonzero((np.abs(label - colour).max(-1) < 40).any(0))[0]
        black = np.nonzero((label.max(-1) < 40).any(0))[0]
        assert abs(black[-1] - inked[-1]) <= 3
