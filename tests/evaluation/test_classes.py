import numpy as np
import pytest

from rainclear.detection.detections import Detections
from rainclear.errors import ConfigError
from rainclear.evaluation.classes import Classes, parse_merges
from rainclear.evaluation.labels import GroundTruth

CAR, TRUCK = 2, 7


def test_merged_class_is_one_object():
    merges = parse_merges(["vehicle=car,truck,bus"])
    truth = GroundTruth(
        xyxy=np.float32([[0, 0, 10, 10], [20, 20, 30, 30]]),
        classes=np.array([TRUCK, 0]),
        ignore=np.zeros((0, 4), np.float32),
        ignore_classes=np.zeros(0, np.int64),
    )
    classes = Classes.of([truth], merges=merges)
    assert classes.names == ("person", "vehicle")
    assert classes.of_truth(truth).classes.tolist() == [1, 0]
    found = Detections.of(
        [[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 9], [0, 0, 10, 10]],
        [0.5, 0.8, 0.3, 0.9],
        [CAR, TRUCK, CAR, 16],
    )
    mine = classes.of_detections(found)  # the dog is not measured
    assert sorted(mine.scores.tolist()) == pytest.approx([0.3, 0.8])
    assert mine.classes.tolist() == [1, 1]
    assert Classes.of([truth], merges=merges, only=["vehicle"]).names == ("vehicle",)
    with pytest.raises(ConfigError, match=r"'car'.*person, vehicle"):
        Classes.of([truth], merges=merges, only=["car"])


@pytest.mark.parametrize("text", ["vehicle", "=car", "v=", "v=car,tree", "v=car,car"])
def test_wrong_merge(text: str):
    with pytest.raises(ConfigError, match="--merge"):
        parse_merges([text])
