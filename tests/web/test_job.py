from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rainclear.detection import Detections
from rainclear.errors import ConfigError, InputError
from rainclear.pipeline.draw import LOST, WON
from rainclear.video import probe
from rainclear.web.job import Limits, run
from rainclear.web.objects import Objects


def pixels(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def test_a_picture_as_it_is(derainer, make_picture, tmp_path):
    source = make_picture()
    result = run(source, tmp_path, derainer=derainer)
    (moment,) = result.moments
    assert np.array_equal(pixels(moment.before), pixels(source))
    assert not np.array_equal(pixels(moment.after), pixels(source))
    assert result.psnr is None and result.notes == () and result.size is None
    assert result.scores == ((0.0, derainer.rain_score),)
    assert [path.name for path in result.files] == ["before.png", "derained.png"]
    for file, shown in zip(result.files, (moment.before, moment.after), strict=True):
        assert np.array_equal(pixels(file), pixels(shown))


def test_rain_is_put_on_and_measured(derainer, make_picture, tmp_path):
    source = make_picture()
    result = run(source, tmp_path, derainer=derainer, rain="storm")
    (moment,) = result.moments
    assert not np.array_equal(pixels(moment.before), pixels(source))
    assert result.psnr is not None and all(0 < value < 60 for value in result.psnr)
    again = run(source, tmp_path, derainer=derainer, rain="storm")
    assert np.array_equal(pixels(again.moments[0].after), pixels(moment.after))


class Seer:
    """Finds a car in both frames, a person before, and a bus after deraining."""

    def __call__(self, frames):
        both = [[4, 4, 20, 20], [30, 10, 50, 40]]
        return [Detections.of(both, [0.9, 0.8], [2, number]) for number in (0, 5)[: len(frames)]]


def test_objects_are_counted_and_drawn_on_what_is_shown_alone(derainer, make_picture, tmp_path):
    result = run(make_picture(), tmp_path, derainer=derainer, detector=Seer())
    (moment,) = result.moments
    assert moment.objects == Objects(before=2, after=2, won=1, lost=1)
    moments = (moment.before, moment.after)
    for file, shown, colour in zip(result.files, moments, (LOST, WON), strict=True):
        plain, drawn = pixels(file), pixels(shown)
        ink = np.array(colour[::-1], int)
        assert np.abs(drawn[25, 30] - ink).max() < 30 < np.abs(plain[25, 30] - ink).max()
        assert np.array_equal(drawn[44:], plain[44:])


def test_a_video(derainer, make_video, tmp_path, stamps):
    source = make_video(pts=[0, 1, 3, 4])
    seen = []
    result = run(source, tmp_path, derainer=derainer, on_frame=lambda *done: seen.append(done))
    assert [round(time * 25) for time, _ in result.scores] == [0, 1, 3, 4]
    assert [moment.time for moment in result.moments] == [time for time, _ in result.scores]
    assert [done for done, _ in seen] == [1, 2, 3, 4]
    assert result.size == (64, 48)
    for path in result.files:
        assert stamps(path) == stamps(source)


def test_moments_are_spread_over_the_video(derainer, make_video, tmp_path):
    result = run(make_video(pts=range(30)), tmp_path, derainer=derainer)
    steps = np.diff([moment.time for moment in result.moments])
    assert 6 <= len(result.moments) <= 12
    assert np.allclose(steps, steps[0]) and result.moments[-1].time > 0.9


@pytest.mark.parametrize(
    ("limits", "frames"), [(Limits(seconds=0.1), 3), (Limits(frames=2), 2), (Limits(), 5)]
)
def test_long_videos_are_cut(derainer, make_video, tmp_path, limits, frames):
    result = run(make_video(), tmp_path, derainer=derainer, limits=limits)
    assert len(result.scores) == frames == probe(result.files[1]).frames
    assert any("stopped after" in note for note in result.notes) is (frames < 5)


def test_large_frames_are_made_smaller_with_even_sides(derainer, make_video, tmp_path):
    result = run(make_video(), tmp_path, derainer=derainer, limits=Limits(side=33))
    info = probe(result.files[1])
    assert (info.width, info.height) == (34, 24) or (info.width, info.height) == (32, 24)
    assert any("made smaller: 64×48" in note for note in result.notes)


def test_rotated_video_is_shown_upright(derainer, make_video, tmp_path):
    result = run(make_video(rotation=90), tmp_path, derainer=derainer)
    assert pixels(result.moments[0].before).shape == (64, 48, 3)
    assert probe(result.files[0]).rotation == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.mp4", b"#EXTM3U\nhttp://127.0.0.1/secret\n", "a list of other files"),
        ("list.ts", b"\n ffconcat version 1.0\nfile /etc/passwd\n", "a list of other files"),
        ("notes.txt", b"It rained.", "neither a video nor a picture"),
        ("broken.png", b"It rained.", "not a picture"),
    ],
)
def test_files_that_are_refused(derainer, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        run(path, tmp_path, derainer=derainer)


def test_sizes_that_are_refused(derainer, make_picture, make_video, tmp_path):
    with pytest.raises(InputError, match=r"more than the 0\.0001 allowed"):
        run(make_picture(), tmp_path, derainer=derainer, limits=Limits(megabytes=1e-4))
    for source in (make_picture(), make_video()):
        with pytest.raises(InputError, match="too large"):
            run(source, tmp_path, derainer=derainer, limits=Limits(pixels=1000))


def test_missing_file_and_unknown_rain(derainer, make_picture, tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: cannot be read"):
        run(tmp_path / "gone.png", tmp_path, derainer=derainer)
    with pytest.raises(ConfigError, match="no rain preset"):
        run(make_picture(), tmp_path, derainer=derainer, rain="frogs")


def test_a_video_that_breaks_off_is_shown_as_far_as_it_goes(derainer, make_video, tmp_path):
    whole = make_video(pts=range(20), options={"g": "1"}, faststart=True)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-1500])
    result = run(cut, tmp_path, derainer=derainer)
    with av.open(str(result.files[1])) as video:
        assert 0 < sum(1 for _ in video.decode(video=0)) == len(result.scores) < 20
    assert result.notes
