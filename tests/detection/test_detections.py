import numpy as np
import pytest

from rainclear.detection import COCO_NAMES, Detections
from rainclear.detection.coco import COCO_IDS_91, class_id, map_names


def test_coco_numbers():
    assert len(COCO_NAMES) == len(set(COCO_NAMES)) == 80
    assert (COCO_NAMES[0], COCO_NAMES[2], COCO_NAMES[7]) == ("person", "car", "truck")
    # Numbers that COCO's own annotation files give.
    known = {1: "person", 3: "car", 13: "stop sign", 44: "bottle", 90: "toothbrush"}
    assert {n: COCO_NAMES[COCO_IDS_91[n]] for n in known} == known
    assert sorted(COCO_IDS_91.values()) == list(range(80))


def test_names_of_other_data_sets():
    assert class_id("Van") == COCO_NAMES.index("car")
    assert class_id("Misc") is None
    assert map_names({0: "Pedestrian", 1: "tree", 5: "bus"}) == {0: 0, 5: 5}


def test_detections_must_fit_together():
    with pytest.raises(ValueError, match="N×4"):
        Detections(
            xyxy=np.zeros((2, 4), np.float32),
            scores=np.zeros(1, np.float32),
            classes=np.zeros(2, np.int64),
        )


def test_renumbered_drops_other_classes():
    found = Detections.of([[0, 0, 1, 1], [0, 0, 2, 2]], [0.5, 0.6], [3, 44])
    kept = found.renumbered({44: 39})
    assert kept.classes.tolist() == [39]
    assert kept.xyxy.tolist() == [[0, 0, 2, 2]]
    assert len(Detections.of([], [], [])) == 0
