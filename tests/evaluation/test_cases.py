from pathlib import Path

import numpy as np
import pytest

from rainclear.data.synth import rain_on_file
from rainclear.errors import ConfigError, InputError
from rainclear.evaluation.cases import dataset_cases, first_frames, paired_cases, rained_cases
from rainclear.rain.presets import preset


def levels(case) -> list[tuple[str, int, int]]:
    return [(s.name, int(s.rainy[0, 0, 0]), int(s.clean[0, 0, 0])) for s in case.open()]


def test_pictures_of_two_folders_are_single_pairs(write_grey, tmp_path: Path) -> None:
    for i, name in enumerate(("b.png", "a.png")):
        write_grey(f"rainy/{name}", 100 + i)
        write_grey(f"clean/{name}", 50 + i)
    cases = paired_cases(tmp_path / "rainy", tmp_path / "clean")
    assert [(c.name, c.clip, c.frames) for c in cases] == [("a", False, 1), ("b", False, 1)]
    assert [levels(c) for c in cases] == [[("a", 101, 51)], [("b", 100, 50)]]
    assert levels(cases[0]) == levels(cases[0])  # may be opened again


def test_folders_of_folders_are_clips(write_grey, tmp_path: Path) -> None:
    for clip in ("one", "two"):
        for i in (1, 2, 10):
            write_grey(f"rainy/{clip}/{i}.png", 100 + i)
            write_grey(f"clean/{clip}/{i}.png", i)
    cases = paired_cases(tmp_path / "rainy", tmp_path / "clean")
    assert [(c.name, c.clip, c.frames) for c in cases] == [("one", True, 3), ("two", True, 3)]
    assert levels(cases[1]) == [("1", 101, 1), ("2", 102, 2), ("10", 110, 10)]
    short = first_frames(cases, 2)
    assert [c.frames for c in short] == [2, 2]
    assert [name for name, *_ in levels(short[1])] == ["1", "2"]


def test_two_videos_are_a_clip(make_video) -> None:
    rainy, clean = make_video("rainy.mp4"), make_video("clean.mp4")
    (case,) = paired_cases(rainy, clean)
    assert (case.clip, case.frames) == (True, 5)
    shown = list(case.open())
    assert [s.name for s in shown] == ["0", "1", "2", "3", "4"]
    assert all(np.array_equal(s.rainy, s.clean) for s in shown)


def test_videos_in_two_folders(make_video, tmp_path: Path) -> None:
    make_video("rainy/drive.mp4", pts=range(2))
    make_video("clean/drive.mkv", pts=range(2))
    (case,) = paired_cases(tmp_path / "rainy", tmp_path / "clean")
    assert case.name == "drive.mp4" and len(list(case.open())) == 2
    (tmp_path / "clean" / "drive.mkv").rename(tmp_path / "clean" / "other.mkv")
    with pytest.raises(InputError, match=r"drive\.mp4: has no partner"):
        paired_cases(tmp_path / "rainy", tmp_path / "clean")


@pytest.mark.parametrize(("ours", "others"), [(3, 5), (5, 3)])
def test_videos_of_other_length_are_refused(make_video, ours: int, others: int) -> None:
    rainy = make_video("rainy.mp4", pts=range(ours))
    clean = make_video("clean.mp4", pts=range(others))
    (case,) = paired_cases(rainy, clean)
    short = rainy if ours < others else clean
    with pytest.raises(InputError, match=f"{short.name}: has 3 frames"):
        list(case.open())


def test_a_cut_off_video_is_refused(make_video) -> None:
    options = {"faststart": True, "options": {"g": "5", "qp": "10"}, "pts": range(30)}
    rainy, clean = make_video("rainy.mp4", **options), make_video("clean.mp4", **options)
    for path in (rainy, clean):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
    (case,) = paired_cases(rainy, clean)
    with pytest.raises(InputError, match=r"\.mp4: cannot be measured: the file is cut off"):
        list(case.open())


def test_a_partner_of_another_size_is_named(write_grey, tmp_path: Path) -> None:
    write_grey("rainy/a.png", 9)
    write_grey("clean/a.png", 9, size=(12, 18))
    (case,) = paired_cases(tmp_path / "rainy", tmp_path / "clean")
    with pytest.raises(InputError, match=r"clean/a\.png: is 18×12"):
        list(case.open())


def test_nothing_to_measure(write_grey, make_video, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    picture = write_grey("a.png", 3)
    with pytest.raises(InputError, match="empty: holds no picture"):
        paired_cases(tmp_path / "empty", tmp_path)
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        paired_cases(tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match="give two folders"):
        paired_cases(picture, tmp_path)
    with pytest.raises(InputError, match="give two folders"):
        paired_cases(picture, make_video())
    with pytest.raises(InputError, match="empty: holds no picture"):
        rained_cases(tmp_path / "empty", "heavy")
    with pytest.raises(InputError, match="nowhere: no such file"):
        rained_cases(tmp_path / "nowhere", "heavy")


def test_generated_rain_depends_on_name_and_seed_alone(write_grey, tmp_path: Path) -> None:
    write_grey("clean/b.png", 60, size=(48, 64))
    (alone,) = rained_cases(tmp_path / "clean", "heavy", seed=1)
    write_grey("clean/a.png", 60, size=(48, 64))
    other, again = rained_cases(tmp_path / "clean", "heavy", seed=1)
    (first,), (second,), (third,) = (list(c.open()) for c in (alone, again, other))
    assert np.array_equal(first.rainy, second.rainy)
    assert not np.array_equal(first.rainy, third.rainy)
    assert (first.clean == 60).all() and np.abs(first.rainy.astype(int) - 60).max() > 30
    (seeded,) = rained_cases(tmp_path / "clean" / "b.png", "heavy", seed=2)
    assert not np.array_equal(next(seeded.open()).rainy, first.rainy)


def test_generated_rain_on_clips(make_video, write_grey, tmp_path: Path) -> None:
    make_video("clean/drive.mp4", pts=range(3))
    for i in range(2):
        write_grey(f"clean/walk/{i}.png", 60, size=(48, 64))
    cases = rained_cases(tmp_path / "clean", "rain100h")
    assert [(c.name, c.clip, c.frames) for c in cases] == [
        ("drive.mp4", True, 3),
        ("walk", True, 2),
    ]
    for case in cases:
        shown = list(case.open())
        assert len(shown) == case.frames
        assert not np.array_equal(shown[0].rainy, shown[1].rainy)  # streaks fall


def test_unknown_rain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'drizzel'"):
        rained_cases(tmp_path, "drizzel")


def test_a_data_set_by_its_layout(write_grey, tmp_path: Path) -> None:
    write_grey("test_a/data/7_rain.png", 90)
    write_grey("test_a/gt/7_clean.png", 30)
    (case,) = dataset_cases("raindrop", tmp_path, "test")
    assert (case.name, case.clip, case.frames) == ("7", False, 1)
    assert levels(case) == [("7", 90, 30)]


def test_a_data_set_of_clips(write_grey, tmp_path: Path) -> None:
    for i in (1, 2):
        write_grey(f"Dataset_Testing_Synthetic/a1_Rain/{i}.png", 90 + i)
        write_grey(f"Dataset_Testing_Synthetic/a1_GT/{i}.png", 30 + i)
    (case,) = dataset_cases("nturain", tmp_path, "test")
    assert case.clip and levels(case) == [("0", 91, 31), ("1", 92, 32)]


def test_files_that_synth_wrote_pair_with_their_source(make_video, tmp_path: Path) -> None:
    clean = make_video("clean.mp4", pts=range(2))
    rain_on_file(clean, tmp_path / "rainy.mp4", preset("heavy", height=48))
    (case,) = paired_cases(tmp_path / "rainy.mp4", clean)
    assert len(list(case.open())) == 2
