"""Animated WebP is a video, and keeps its durations."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.video import VideoReader, is_image, is_video, source, write_image
from rainclear.video import animation as module
from rainclear.video.animation import animation_as_video, is_animated_webp

DURATIONS = [40, 100, 40, 7, 250, 60]
LEVELS = range(40, 160, 20)

pytestmark = pytest.mark.skipif(
    not hasattr(cv2, "imencodeanimation"), reason="needs OpenCV 4.11 or newer"
)
opened = pytest.mark.skipif(
    not hasattr(source, "animation_as_video"), reason="rainclear.video.source does not open it yet"
)


@pytest.fixture
def make_webp(tmp_path):
    def make(name="a.webp", durations=DURATIONS, channels=3) -> Path:
        animation = cv2.Animation()
        animation.frames = [np.full((48, 64, channels), level, np.uint8) for level in LEVELS]
        animation.durations = np.array(durations, np.int32)
        done, data = cv2.imencodeanimation(".webp", animation, [cv2.IMWRITE_WEBP_QUALITY, 101])
        assert done
        path = tmp_path / name
        path.write_bytes(data.tobytes())
        return path

    return make


def starts(durations) -> list[int]:
    return np.cumsum([0, *durations[:-1]]).tolist()


def test_what_moves_is_a_video(make_webp, tmp_path):
    moving, still = make_webp(), tmp_path / "still.webp"
    write_image(still, np.zeros((4, 4, 3), np.uint8))
    assert is_animated_webp(moving) and is_video(moving) and not is_image(moving)
    assert not is_animated_webp(still) and is_image(still) and not is_video(still)
    # What is not there yet is a picture that can be written.
    assert is_image(tmp_path / "new.webp") and not is_video(tmp_path / "new.webp")
    (tmp_path / "short.webp").write_bytes(moving.read_bytes()[:20])
    assert not is_animated_webp(tmp_path / "short.webp")
    assert not is_animated_webp(moving.rename(tmp_path / "a.mp4"))


@pytest.mark.parametrize("at_once", [64, 6, 4, 1])
def test_pictures_and_durations_are_kept(make_webp, monkeypatch, at_once):
    monkeypatch.setattr(module, "_ROUND", at_once)
    with av.open(animation_as_video(make_webp())) as video:
        frames = list(video.decode(video=0))
    assert [f.pts * f.time_base * 1000 for f in frames] == starts(DURATIONS)
    assert [f.duration * f.time_base * 1000 for f in frames] == DURATIONS
    for frame, level in zip(frames, LEVELS, strict=True):
        assert (frame.to_ndarray(format="rgb24") == level).all()


def test_a_frame_without_a_duration_is_shown_for_a_tenth_of_a_second(make_webp):
    with av.open(animation_as_video(make_webp(durations=[0, 40, 0, 40, 40, 40]))) as video:
        stamps = [f.pts * f.time_base * 1000 for f in video.decode(video=0)]
    assert stamps == [0, 100, 140, 240, 280, 320]


def test_transparency_is_dropped(make_webp):
    with av.open(animation_as_video(make_webp(channels=4))) as video:
        assert len(list(video.decode(video=0))) == 6


def test_damage_and_an_old_opencv_are_told(make_webp, monkeypatch):
    path = make_webp()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"a\.webp: (not a picture, or damaged|cannot be decoded)"):
        animation_as_video(path)
    monkeypatch.delattr(cv2, "imdecodeanimation")
    with pytest.raises(InputError, match=r"OpenCV 4\.11"):
        animation_as_video(path)


@opened
def test_it_is_read_as_a_video(make_webp):
    with VideoReader(make_webp()) as reader:
        frames = list(reader)
        assert (reader.info.width, reader.info.height) == (64, 48)
        assert reader.info.time_base == Fraction(1, 1000)
    assert [f.pts for f in frames] == starts(DURATIONS)
    assert [f.duration for f in frames] == DURATIONS
    for frame, level in zip(frames, LEVELS, strict=True):
        assert (frame.pixels == level).all()


@opened
def test_it_is_derained_as_a_video(make_webp, derainer, stamps, tmp_path):
    from rainclear.runtime.jobs import derain_file

    report = derain_file(make_webp(), tmp_path / "out.mp4", derainer=derainer)
    assert report.frames == 6
    assert [t * 1000 for t in stamps(tmp_path / "out.mp4")] == starts(DURATIONS)
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert video.duration == pytest.approx(sum(DURATIONS) * 1000, abs=1000)
