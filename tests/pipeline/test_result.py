import numpy as np
import pytest

from rainclear.detection.detections import Detections
from rainclear.frame import Frame
from rainclear.pipeline import Result, TrackedDetections
from rainclear.pipeline.draw import LOST, WON, annotate, side_by_side
from rainclear.pipeline.result import won_and_lost


def boxes(*places: tuple[float, float, float, float], classes=None) -> Detections:
    n = len(places)
    return Detections.of(list(places), [0.5] * n, classes or [2] * n)


NEAR, SHIFTED, FAR = (10, 10, 30, 30), (12, 10, 32, 30), (40, 30, 60, 44)


def test_won_and_lost_by_overlap_and_class():
    change = won_and_lost(boxes(NEAR, FAR), boxes(SHIFTED))
    assert change.lost.tolist() == [False, True] and change.won.tolist() == [False]
    change = won_and_lost(boxes(NEAR), boxes(SHIFTED, classes=[0]))
    assert change.lost.tolist() == [True] and change.won.tolist() == [True]


def test_a_box_is_matched_once_and_to_the_best():
    change = won_and_lost(boxes(NEAR), boxes(SHIFTED, NEAR))
    assert change.won.tolist() == [True, False] and change.lost.tolist() == [False]


@pytest.mark.parametrize(("before", "after"), [((), ()), ((NEAR,), ()), ((), (NEAR,))])
def test_empty_sides(before, after):
    change = won_and_lost(boxes(*before), boxes(*after))
    assert change.lost.tolist() == [True] * len(before)
    assert change.won.tolist() == [True] * len(after)


def result(before: Detections | None, after: Detections) -> Result:
    frames = [Frame(pixels=np.full((48, 64, 3), level, np.uint8)) for level in (10, 20)]
    return Result(rainy=frames[0], frame=frames[1], before=before, detections=after)


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> set[str]:
    rows, columns = np.nonzero((picture == colour).all(-1))
    return {"left" if c < 64 else "right" for c in columns[rows >= 0]}


def test_side_by_side_shows_lost_red_on_the_left_and_won_green_on_the_right():
    picture = side_by_side(result(boxes(NEAR), boxes(FAR)))
    assert picture.shape == (48, 128, 3)
    assert coloured(picture, LOST) == {"left"} and coloured(picture, WON) == {"right"}
    picture = side_by_side(result(boxes(NEAR), boxes(SHIFTED)))
    assert coloured(picture, LOST) == coloured(picture, WON) == set()


def test_annotate_draws_on_a_copy():
    one = result(None, boxes(NEAR))
    assert (annotate(one) != one.frame.pixels).any() and (one.frame.pixels == 20).all()
    assert np.array_equal(annotate(one, boxes=False), one.frame.pixels)


def test_text_lies_on_its_rim():
    frame = Frame(pixels=np.full((720, 1280, 3), 128, np.uint8))
    found = boxes((50, 100, 900, 300), classes=[35])  # baseball glove
    label = annotate(Result(rainy=frame, frame=frame, before=None, detections=found))[60:98]
    inked = np.nonzero((np.ptp(label, axis=-1) > 60).any(0))[0]
    black = np.nonzero((label.max(-1) < 40).any(0))[0]
    assert abs(int(black[-1]) - int(inked[-1])) <= 3


def test_tracked_boxes_keep_their_numbers_when_picked():
    both = boxes(NEAR, FAR)
    tracked = TrackedDetections(
        xyxy=both.xyxy, scores=both.scores, classes=both.classes, ids=np.array([7, -1])
    )
    assert tracked.select(np.array([False, True])).ids.tolist() == [-1]
    with pytest.raises(ValueError, match="must be N×4"):
        TrackedDetections(
            xyxy=both.xyxy, scores=both.scores[:1], classes=both.classes, ids=np.array([7, -1])
        )
