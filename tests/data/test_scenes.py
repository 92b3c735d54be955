"""Scenes from files, and clips from scenes."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.data.scenes import Scene, load_scenes, sample_clip, sample_frames, sample_view
from rainclear.errors import InputError


def video(frames: int, height: int = 60, width: int = 90) -> Scene:
    """Frame ``i`` is grey ``20 + 5·i``: a clip's order can be read off it."""
    pictures = [np.full((height, width, 3), 20 + 5 * i, np.uint8) for i in range(frames)]
    return Scene(name="video", frames=pictures)


def still(height: int = 60, width: int = 90) -> Scene:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    return Scene(name="still", frames=[cv2.resize(coarse, (width, height))])


@pytest.mark.parametrize(
    "scene",
    [still(), video(4), video(12), still(20, 15), video(12, 20, 15), still(300, 200)],
    ids=["still", "short-video", "video", "small-still", "small-video", "big-still"],
)
def test_clips_have_the_size_asked_for(scene: Scene) -> None:
    for seed in range(8):
        clip = sample_clip(scene, np.random.default_rng(seed), size=40, length=4)
        assert len(clip) == 4
        for picture in clip:
            assert picture.shape == (40, 40, 3)
            assert picture.dtype == np.float32
            assert picture.min() >= 0
            assert picture.max() <= 1


def test_the_seed_decides_the_clip() -> None:
    first, again, other = (
        np.stack(sample_clip(still(), np.random.default_rng(seed), size=32, length=3))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("frames", "tolerance"), [(12, 1.5), (1, 12)], ids=["video", "still"])
def test_a_view_tells_where_in_the_frame_it_lies(frames: int, tolerance: float) -> None:
    frame = np.full((200, 240, 3), 40, np.uint8)
    frame[100:] = 200  # an edge across the middle; a still's camera pans around its place
    scene, seen = Scene(name="edge", frames=[frame] * frames), 0
    for seed in range(30):
        clip, view = sample_view(scene, np.random.default_rng(seed), size=40, length=4)
        assert 0 <= view.top < view.top + view.height <= 1 + 1e-9
        row = (0.5 - view.top) / view.height * 40
        if 14 < row < 26:
            seen += 1
            steps = np.diff(clip[2][..., 1].mean(1))
            assert abs(int(steps.argmax()) + 1 - row) <= tolerance
    assert seen > 3


def test_a_video_keeps_its_order_forwards_or_backwards() -> None:
    signs, steps = set(), set()
    for seed in range(40):
        clip = sample_clip(video(12), np.random.default_rng(seed), size=16, length=4)
        levels = np.array([picture.mean() for picture in clip])
        if levels.max() > 0.9 or levels.max() < 0.1:
            continue  # over- or underexposed: no order to be read
        changes = np.diff(levels)
        assert (changes > 0).all() or (changes < 0).all()
        signs.add(bool(changes[0] > 0))
        steps.add(bool(abs(changes).mean() > 0.035))
    assert signs == {False, True}
    assert steps == {False, True}


@pytest.mark.parametrize("index", range(8))
def test_every_frame_of_a_video_can_be_drawn(index: int) -> None:
    scene = video(8)
    for i, frame in enumerate(scene.frames):
        frame[:] = 255 if i == index else 0
    drawn = 0
    for seed in range(40):
        clip = sample_clip(scene, np.random.default_rng(seed), size=16, length=4)
        drawn += any(picture.mean() > 0.1 for picture in clip)
    assert 0 < drawn < 40


def test_a_still_moves_under_its_camera() -> None:
    moving = 0
    for seed in range(10):
        clip = sample_clip(still(300, 300), np.random.default_rng(seed), size=48, length=3)
        moving += float(np.abs(clip[0] - clip[2]).mean()) > 0.02
    assert 5 <= moving <= 10


@pytest.mark.parametrize(
    "scene",
    [still(), video(4), video(12), still(600, 900), video(5, 60, 400), still(400, 60)],
    ids=["still", "short-video", "video", "big-still", "wide-video", "tall-still"],
)
def test_whole_frames_fit_the_networks(scene: Scene) -> None:
    for seed in range(6):
        frames, view = sample_frames(scene, np.random.default_rng(seed), length=5)
        (height, width, channels), *others = {frame.shape for frame in frames}
        assert (len(frames), channels, others) == (5, 3, [])
        assert height % 32 == width % 32 == 0
        assert 256 <= height <= 448
        assert 256 <= width <= 800
        assert 0.58 <= view.height <= 1
        assert 0 <= view.top <= 1 - view.height + 1e-9
        for frame in frames:
            assert frame.dtype == np.float32
            assert 0 <= frame.min() <= frame.max() <= 1


def test_the_seed_decides_the_whole_frames() -> None:
    first, again, other = (
        sample_frames(still(), np.random.default_rng(seed), length=2)[0] for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("frames", [6, 1], ids=["video", "still"])
def test_a_view_of_whole_frames_tells_where_they_lie(frames: int) -> None:
    frame = np.full((200, 240, 3), 40, np.uint8)
    frame[100:] = 200
    scene = Scene(name="edge", frames=[frame] * frames)
    for seed in range(8):
        clip, view = sample_frames(scene, np.random.default_rng(seed), length=4)
        row = (0.5 - view.top) / view.height * len(clip[2])
        steps = np.diff(clip[2][..., 1].mean(1))
        # Noise and interpolation apart, there is one step, between the rows beside the edge.
        assert abs(int(steps.argmax()) + 1 - row) <= 2.5


def test_whole_frames_of_a_video_move_as_it_does_and_stills_are_panned() -> None:
    panned = 0
    for seed in range(8):
        clip, _ = sample_frames(video(12), np.random.default_rng(seed), length=4)
        levels = [picture.mean() for picture in clip]
        if 0.1 < min(levels) < max(levels) < 0.9:
            assert (np.diff(levels) > 0).all()
        clip, _ = sample_frames(still(), np.random.default_rng(seed), length=4)
        panned += float(np.abs(clip[0] - clip[3]).mean()) > 0.02
    assert 5 <= panned <= 8


def test_load_scenes(
    tmp_path: Path, make_picture: Callable[..., Path], make_video: Callable[..., Path]
) -> None:
    make_picture("stills/b.png", size=(30, 20))
    make_picture("stills/a.png", size=(32, 24))
    make_video("videos/drive.mp4", pts=range(7))
    scenes = load_scenes(tmp_path, ["videos/*.mp4", "stills/*"], max_frames=5)
    assert [scene.name for scene in scenes] == ["drive.mp4", "a.png", "b.png"]
    assert [len(scene.frames) for scene in scenes] == [5, 1, 1]
    assert scenes[1].frames[0].shape == (24, 32, 3)
    assert all(frame.dtype == np.uint8 for scene in scenes for frame in scene.frames)


def test_pictures_are_read_as_rgb(tmp_path: Path) -> None:
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 0] = 200  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "blue.png"), blue)
    frame = load_scenes(tmp_path, ["*.png"], max_frames=1)[0].frames[0]
    assert frame[0, 0].tolist() == [0, 0, 200]


def test_deep_pictures_become_eight_bit(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 8, 3), 0x80FF, np.uint16))
    frame = load_scenes(tmp_path, ["*.png"], max_frames=1)[0].frames[0]
    assert frame.dtype == np.uint8
    assert (frame == 0x80).all()


def test_a_file_that_two_patterns_match_counts_once(
    tmp_path: Path, make_picture: Callable[..., Path]
) -> None:
    make_picture("a.png")
    make_picture("b.png")
    scenes = load_scenes(tmp_path, ["a*.png", "*.png"], max_frames=1)
    assert [scene.name for scene in scenes] == ["a.png", "b.png"]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        load_scenes(tmp_path / "nowhere", ["*"], max_frames=1)


def test_a_pattern_without_a_match(tmp_path: Path, make_picture: Callable[..., Path]) -> None:
    make_picture("a.png")
    with pytest.raises(InputError, match=r"\*\.mp4"):
        load_scenes(tmp_path, ["*.png", "*.mp4"], max_frames=1)


@pytest.mark.parametrize("pattern", ["", "/etc/*"])
def test_a_pattern_that_cannot_be_below_the_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InputError, match="relative"):
        load_scenes(tmp_path, [pattern], max_frames=1)


def test_something_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("rain")
    with pytest.raises(InputError, match=r"notes\.txt"):
        load_scenes(tmp_path, ["*"], max_frames=1)
