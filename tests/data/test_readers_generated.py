"""Generated rain behind the protocol of the data sets on disk."""

import numpy as np
import pytest

from rainclear.data.protocol import Clip, ClipDataset
from rainclear.data.readers import GeneratedClips
from rainclear.data.scenes import Scene
from rainclear.errors import InputError
from rainclear.rain.presets import preset


@pytest.fixture
def scenes() -> list[Scene]:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (40, 48, 3), np.uint8) for _ in range(5)]
    return [Scene(name="video", frames=frames), Scene(name="picture", frames=frames[:1])]


def arrays(clip: Clip) -> list[np.ndarray]:
    sequences = (clip.rainy, clip.clean, clip.drop_only, clip.streak_masks, clip.drop_masks)
    return [frame for frames in sequences for frame in frames or []]


def test_it_is_a_clip_dataset(scenes: list[Scene]) -> None:
    dataset = GeneratedClips(scenes, rain=preset("heavy", height=96), seed=3, length=3)
    assert isinstance(dataset, ClipDataset)
    assert len(dataset) == 2
    video, picture = dataset[0], dataset[1]
    assert (video.name, picture.name) == ("video#0", "picture#1")
    assert (len(video), len(picture)) == (3, 1)
    for clip in (video, picture):
        assert all(a.dtype == np.uint8 and a.shape[:2] == (40, 48) for a in arrays(clip))
        assert all(len(frames) == len(clip) for frames in (clip.clean, clip.drop_masks or []))
        assert clip.streak_masks is not None
        assert clip.streak_masks[0].shape == (40, 48)
        assert clip.streak_masks[0].max() > 0
        assert not np.array_equal(clip.rainy[0], clip.clean[0])
    frames = [frame.tobytes() for frame in scenes[0].frames]
    first = frames.index(video.clean[0].tobytes())
    assert [f.tobytes() for f in video.clean] == frames[first : first + 3]
    with pytest.raises(IndexError):
        dataset[2]


def test_a_clip_depends_on_seed_and_number_alone(scenes: list[Scene]) -> None:
    def clips(seed: int) -> list[Clip]:
        dataset = GeneratedClips(scenes, seed=seed, count=3, length=2, size=24)
        assert len(dataset) == 3
        return [dataset[index] for index in (2, 0, -1)]

    last, first, again = clips(1)
    assert len(last) == 2
    assert last.rainy[0].shape == (24, 24, 3)
    same = zip(arrays(last), arrays(again), strict=True)
    assert all(np.array_equal(a, b) for a, b in same)
    assert not np.array_equal(first.rainy[0], last.rainy[0])
    assert not np.array_equal(clips(2)[0].rainy[0], last.rainy[0])


def test_without_a_scene_there_is_nothing_to_rain_on() -> None:
    with pytest.raises(InputError, match="no clean scene"):
        GeneratedClips([])
