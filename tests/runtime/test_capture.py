import cv2
import numpy as np
import pytest

import rainclear
from rainclear.errors import DeviceError


@pytest.fixture
def clip(make_video):
    return str(make_video(pts=range(4)))


def test_it_reads_what_opencv_reads_derained(clip, derainer):
    plain = cv2.VideoCapture(clip)
    rainy = [plain.read()[1] for _ in range(4)]
    want = [derainer(frame) for frame in rainy]
    capture = rainclear.VideoCapture(clip, derainer=derainer)
    assert capture.isOpened()
    for frame in want:
        ok, got = capture.read()
        assert ok and np.array_equal(got, frame) and got.dtype == np.uint8
    assert not np.array_equal(want[0], rainy[0])
    assert capture.read() == (False, None)
    assert 0 < capture.rain_score < 1


def test_what_is_opened_is_made_ready_for(clip, derainer, monkeypatch):
    calls = []
    monkeypatch.setattr(derainer, "prepare", lambda size, frames: calls.append((size, frames)))
    capture = rainclear.VideoCapture(clip, derainer=derainer)
    assert calls == [((48, 64), 4)]
    capture.open("none.mp4")
    assert len(calls) == 1


def test_a_source_that_cannot_be_derained_is_closed_again(clip, derainer, monkeypatch):
    def refuse(size, frames):
        raise DeviceError("no such backend here")

    plain, opened = cv2.VideoCapture, []

    def kept():
        opened.append(plain())
        return opened[-1]

    monkeypatch.setattr(cv2, "VideoCapture", kept)
    capture = rainclear.VideoCapture(derainer=derainer)
    monkeypatch.setattr(derainer, "prepare", refuse)
    with pytest.raises(DeviceError, match="no such backend"):
        capture.open(clip)
    with pytest.raises(DeviceError, match="no such backend"):
        rainclear.VideoCapture(clip, derainer=derainer)
    assert len(opened) == 2 and not any(source.isOpened() for source in opened)


def test_properties_are_those_of_opencv(clip, derainer):
    plain, capture = cv2.VideoCapture(clip), rainclear.VideoCapture(clip, derainer=derainer)
    for prop in ("FRAME_WIDTH", "FRAME_HEIGHT", "FPS", "FRAME_COUNT", "FOURCC"):
        number = getattr(cv2, f"CAP_PROP_{prop}")
        assert capture.get(number) == plain.get(number) != 0
    assert capture.getBackendName() == plain.getBackendName()


def test_a_missing_file_is_not_opened_as_in_opencv(tmp_path, derainer):
    capture = rainclear.VideoCapture(str(tmp_path / "none.mp4"), derainer=derainer)
    assert not capture.isOpened()
    assert capture.read() == (False, None)
    capture.release()


def test_release_ends_reading(clip, derainer):
    with rainclear.VideoCapture(clip, derainer=derainer) as capture:
        assert capture.read()[0]
    assert not capture.isOpened() and capture.read() == (False, None)


def test_a_jump_begins_a_new_stream(clip, derainer):
    capture = rainclear.VideoCapture(clip, derainer=derainer)
    first = capture.read()[1]
    capture.read()
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    assert np.array_equal(capture.read()[1], first)


def test_it_writes_into_an_array_that_fits(clip, derainer):
    capture = rainclear.VideoCapture(clip, derainer=derainer)
    image = np.zeros((48, 64, 3), np.uint8)
    ok, got = capture.read(image)
    assert ok and got is image and image.any()
