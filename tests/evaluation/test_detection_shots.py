import numpy as np

from rainclear.detection.detections import Detections
from rainclear.evaluation.detection_shots import draw
from rainclear.evaluation.labels import GroundTruth


def test_text_lies_on_its_rim():
    truth = GroundTruth(
        xyxy=np.zeros((0, 4), np.float32),
        classes=np.zeros(0, np.int64),
        ignore=np.zeros((0, 4), np.float32),
        ignore_classes=np.zeros(0, np.int64),
    )
    found = Detections.of([[50, 100, 900, 300]], [0.5], [0])
    grey = np.full((720, 1280, 3), 128, np.uint8)
    label = draw(grey, found, truth, ("baseball glove",))[60:98].astype(int)
    inked = np.nonzero(((label[..., 0] > 200) & (label[..., 1] < 110)).any(0))[0]
    black = np.nonzero((label.max(-1) < 40).any(0))[0]
    assert abs(black[-1] - inked[-1]) <= 3
