"""Every reader on a tiny tree in its layout; wrong folders and missing partners say so."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.data.layouts import LAYOUTS
from rainclear.data.protocol import Clip, ClipDataset, DualPixelPair, Pair, PairedDataset
from rainclear.data.readers import READERS, open_dataset, open_splits, pair_folders
from rainclear.errors import ConfigError, InputError

Tree = dict[str, int]
"""Files of a tree, and the grey level that each is filled with."""

RAINY, CLEAN, DROP, STREAK, MASK, OTHER = 200, 50, 120, 90, 30, 10


def plant(root: Path, tree: Tree, size: tuple[int, int] = (6, 8)) -> Path:
    for name, level in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.full((*size, 3), level, np.uint8))
    return root


def side_by_side(root: Path, names: list[str], left: int, right: int) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        both = np.hstack([np.full((6, 8, 3), level, np.uint8) for level in (left, right)])
        assert cv2.imwrite(str(path), both)


def near(pixels: np.ndarray | None, level: int) -> bool:
    """JPEG moves a flat grey by a level at most."""
    return pixels is not None and bool(np.all(np.abs(pixels.astype(int) - level) <= 2))


PAIR_TREES: dict[str, tuple[str, str, Tree, list[str]]] = {
    "folders": ("folders", "train", {"rain/a.png": RAINY, "clean/a.jpg": CLEAN}, ["a"]),
    "folders-split": (
        "folders",
        "test",
        {"test/input/b.png": RAINY, "test/gt/b.png": CLEAN},
        ["b"],
    ),
    "rain100h-new": (
        "rain100h",
        "train",
        {
            f"rain_data_train_Heavy/{name}": level
            for n in (2, 10)
            for name, level in (
                (f"rain/X2/norain-{n}x2.png", RAINY),
                (f"norain/norain-{n}.png", CLEAN),
            )
        },
        ["norain-2x2", "norain-10x2"],
    ),
    "rain100l-new": (
        "rain100l",
        "test",
        {
            "rain_data_test_Light/rain/norain-1x2.png": RAINY,
            "rain_data_test_Light/norain/norain-1.png": CLEAN,
        },
        ["norain-1x2"],
    ),
    "rain100h-flat": (
        "rain100h",
        "test",
        {
            f"Rain100H/{name}-00{n}.png": level
            for n in (1, 2)
            for name, level in (("rain", RAINY), ("norain", CLEAN))
        },
        ["rain-001", "rain-002"],
    ),
    "rain100h-prenet": (
        "rain100h",
        "train",
        {
            f"RainTrainH/{name}-00{n}.png": level
            for n in (1, 2)
            for name, level in (("rainy/rain", RAINY), ("norain", CLEAN))
        },
        ["rain-001", "rain-002"],
    ),
    "rain100l-folders": (
        "rain100l",
        "train",
        {"train/rainy/rain-7.png": RAINY, "train/norain/norain-7.png": CLEAN},
        ["rain-7"],
    ),
    "rain100h-restormer": (
        "rain100h",
        "test",
        {"Rain100H/input/1.png": RAINY, "Rain100H/target/1.png": CLEAN},
        ["1"],
    ),
    "rain1400": (
        "rain1400",
        "test",
        {
            "testing/rainy_image/901_1.jpg": RAINY,
            "testing/rainy_image/901_2.jpg": RAINY,
            "testing/ground_truth/901.jpg": CLEAN,
        },
        ["901_1", "901_2"],
    ),
    "spa-test": (
        "spa",
        "test",
        {
            "Testing/real_test_1000/rain/000.png": RAINY,
            "Testing/real_test_1000/gt/000gt.png": CLEAN,
        },
        ["000"],
    ),
    "raindrop": (
        "raindrop",
        "test",
        {"test_a/data/3_rain.png": RAINY, "test_a/gt/3_clean.png": CLEAN},
        ["3"],
    ),
    "raindrop-nested": (
        "raindrop",
        "train",
        {"train/train/data/3_rain.png": RAINY, "train/train/gt/3_clean.png": CLEAN},
        ["3"],
    ),
    "raindrop-b": (
        "raindrop",
        "test_b",
        {"test_b/data/3_rain.jpg": RAINY, "test_b/gt/3_clean.jpg": CLEAN},
        ["3"],
    ),
    "clarity": (
        "raindrop-clarity",
        "train",
        {
            f"{part}RainDrop_Train/{name}": level
            for part in ("Day", "Night")
            for name, level in (
                ("Drop/00001/00002.png", RAINY),
                ("Clear/00001/00002.png", CLEAN),
                ("Blur/00001/00002.png", OTHER),
            )
        },
        ["Day/00001/00002", "Night/00001/00002"],
    ),
    "raincityscapes": (
        "raincityscapes",
        "test",
        {
            "leftImg8bit_rain/val/lindau/lindau_000003_000019_leftImg8bit"
            "_rain_alpha_0.01_beta_0.005_dropsize_0.01_pattern_1.png": RAINY,
            "leftImg8bit/val/lindau/lindau_000003_000019_leftImg8bit.png": CLEAN,
        },
        [
            "lindau/lindau_000003_000019_leftImg8bit"
            "_rain_alpha_0.01_beta_0.005_dropsize_0.01_pattern_1"
        ],
    ),
    "raincityscapes-dafnet": (
        "raincityscapes",
        "train",
        {
            "train/ulm_000003_000019_rain_alpha_0.02_beta_0.01_dropsize_0.005_pattern_3.png": RAINY,
            "image/ulm_000003_000019_leftImg8bit.png": CLEAN,
        },
        ["ulm_000003_000019_rain_alpha_0.02_beta_0.01_dropsize_0.005_pattern_3"],
    ),
    "jrsrd": (
        "jrsrd",
        "train",
        {
            "train/joint/0_1.png": RAINY,
            "train/joint/0_2.png": RAINY,
            "train/streak/0_1.png": STREAK,
            "train/streak/0_2.png": STREAK,
            "train/drop/0.png": DROP,
            "train/clean/0.png": CLEAN,
        },
        ["0_1", "0_2"],
    ),
}


@pytest.mark.parametrize("case", PAIR_TREES)
def test_pairs_of_each_layout(tmp_path: Path, case: str) -> None:
    kind, split, tree, names = PAIR_TREES[case]
    plant(tmp_path, tree | {"._hidden.png": OTHER})
    dataset = open_dataset(kind, tmp_path, split=split)
    assert isinstance(dataset, PairedDataset)
    assert len(dataset) == len(names)
    pairs = list(dataset)
    assert dataset.names == [pair.name for pair in pairs] == names
    for pair in pairs:
        assert isinstance(pair, Pair)
        assert pair.rainy.shape == pair.clean.shape == (6, 8, 3)
        assert pair.rainy.dtype == pair.clean.dtype == np.uint8
        assert near(pair.rainy, RAINY)
        assert near(pair.clean, CLEAN)
    assert (pairs[0].drop_only is not None) == (kind == "jrsrd")
    if kind == "jrsrd":
        assert near(pairs[0].drop_only, DROP)
        assert near(pairs[0].streak_mask, STREAK)
        assert pairs[0].streak_mask.shape == (6, 8)
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.parametrize(
    ("kind", "split", "name", "left", "right"),
    [
        ("rain800", "train", "training/1.jpg", CLEAN, RAINY),
        ("rain800", "test", "test_syn/1.jpg", CLEAN, RAINY),
        ("rain1200", "train", "DID-MDN-training/Rain_Heavy/train2018new/1.jpg", RAINY, CLEAN),
        ("rain1200", "test", "DID-MDN-test/1.jpg", RAINY, CLEAN),
    ],
)
def test_pairs_side_by_side(
    tmp_path: Path, kind: str, split: str, name: str, left: int, right: int
) -> None:
    side_by_side(tmp_path, [name], left, right)
    (pair,) = open_dataset(kind, tmp_path, split=split)
    assert pair.rainy.shape == pair.clean.shape == (6, 8, 3)
    assert near(pair.rainy[:, 1:-1], RAINY)
    assert near(pair.clean[:, 1:-1], CLEAN)


def test_a_picture_of_odd_width_is_no_pair(tmp_path: Path) -> None:
    plant(tmp_path, {"training/1.png": RAINY}, size=(4, 7))
    with pytest.raises(InputError, match=r"training/1\.png: is 7 pixels wide"):
        open_dataset("rain800", tmp_path)[0]


@pytest.mark.parametrize("front", ["", "/", "./"])
def test_spa_lists(tmp_path: Path, front: str) -> None:
    rainy, clean = "real_world/000/000-1/000-1_0_0.png", "real_world_gt/000/000-1_0_0.png"
    plant(tmp_path / "Training", {rainy: RAINY, clean: CLEAN})
    list_file = tmp_path / "Training" / "real_world.txt"
    list_file.write_text(f"{front}{rainy} {front}{clean}\n{front}{rainy} {front}gone.png\n\n")
    dataset = open_dataset("spa", tmp_path)
    assert len(dataset) == 2
    assert near(dataset[0].rainy, RAINY)
    assert near(dataset[0].clean, CLEAN)
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        dataset[1]
    list_file.write_text(f"gone.png {clean}\n")
    with pytest.raises(InputError, match=r"gone\.png: no such file, but .*real_world\.txt"):
        open_dataset("spa", tmp_path)
    list_file.write_text("one two three\n")
    with pytest.raises(InputError, match="line 1 is not two file names"):
        open_dataset("spa", tmp_path)


@pytest.mark.parametrize(
    ("kind", "base", "prefixes"),
    [
        ("rainds-syn", "RainDS_syn/train", ("norain-", "rd-", "rain-", "rd-rain-")),
        ("rainds-syn", "RainDS_syn/train", ("pie-norain-", "pie-rd-", "pie-rain-", "pie-rd-rain-")),
        ("rainds-syn", "RainDS_syn/train", ("norain-", "rd-", "rs-", "rd-rs-")),
        ("rainds-real", "RainDS/RainDS_real/train_set", ("", "", "", "")),
    ],
)
def test_rainds(tmp_path: Path, kind: str, base: str, prefixes: tuple[str, ...]) -> None:
    clean, drop, streak, both = (f"{prefix}12.png" for prefix in prefixes)
    tree = {
        f"{base}/gt/{clean}": CLEAN,
        f"{base}/raindrop/{drop}": DROP,
        f"{base}/rainstreak/{streak}": STREAK,
        f"{base}/rainstreak_raindrop/{both}": RAINY,
    }
    plant(tmp_path, tree)
    pairs = list(open_dataset(kind, tmp_path))
    assert [p.name.split("/")[0] for p in pairs] == [
        "raindrop",
        "rainstreak",
        "rainstreak_raindrop",
    ]
    for pair, level in zip(pairs, (DROP, STREAK, RAINY), strict=True):
        assert near(pair.rainy, level)
        assert near(pair.clean, CLEAN)
    assert [p.drop_only is None for p in pairs] == [True, True, False]
    assert near(pairs[2].drop_only, DROP)
    other = {"rainds-syn": "rainds-real", "rainds-real": "rainds-syn"}[kind]
    with pytest.raises(InputError):
        open_dataset(other, tmp_path)


def dual_pixel(folder: str, truths: tuple[str, ...]) -> Tree:
    tree = {f"{folder}/dp_gt/5_{name}.png": CLEAN + i for i, name in enumerate(truths)}
    return tree | {
        f"{folder}/dp_rainy/5_C.png": RAINY,
        f"{folder}/dp_rainy/5_L.png": RAINY + 20,
        f"{folder}/dp_rainy/5_R.png": RAINY - 20,
    }


@pytest.mark.parametrize(
    ("split", "tree", "halves"),
    [
        (
            "train",
            dual_pixel("Synthetic_Raindrop_Dataset/train", ("GT_C", "GT_L", "GT_R")),
            (CLEAN + 1, CLEAN + 2),
        ),
        ("real", dual_pixel("Real_World_Dataset/test", ("GT",)), None),
        (
            "test",
            {
                "test/left/5.png": RAINY + 20,
                "test/right/5.png": RAINY - 20,
                "test/gt/5.png": CLEAN,
                "test/mask/5.png": MASK,
            },
            None,
        ),
    ],
)
def test_dual_pixel(tmp_path: Path, split: str, tree: Tree, halves: tuple[int, int] | None) -> None:
    dataset = open_dataset("dprrn", plant(tmp_path, tree), split=split)
    (pair,) = dataset
    assert isinstance(dataset, PairedDataset)
    assert isinstance(pair, DualPixelPair)
    assert pair.name == "5"
    assert near(pair.left, RAINY + 20)
    assert near(pair.right, RAINY - 20)
    assert near(pair.rainy, RAINY)
    assert near(pair.clean, CLEAN)
    if halves is None:
        assert pair.clean_left is None
    else:
        assert near(pair.clean_left, halves[0])
        assert near(pair.clean_right, halves[1])
    assert (pair.drop_mask is None) == ("test/mask/5.png" not in tree)


CLIP_TREES: dict[str, tuple[str, str, Tree, list[str], dict[str, int]]] = {
    "nturain-train": (
        "nturain",
        "train",
        {
            f"Dataset_Training_Synthetic/{folder}/{n:05d}.jpg": level
            for folder, level in (("t1_Rain_01", RAINY), ("t1_Rain_02", RAINY), ("t1_GT", CLEAN))
            for n in (1, 2, 10)
        },
        ["t1_Rain_01", "t1_Rain_02"],
        {},
    ),
    "nturain-test": (
        "nturain",
        "test",
        {
            f"Dataset_Testing_Synthetic/{folder}/{n}.jpg": level
            for folder, level in (("a1_Rain", RAINY), ("a1_GT", CLEAN), ("a1_spacCNN", OTHER))
            for n in (1, 2, 10)
        },
        ["a1_Rain"],
        {},
    ),
    "vrds-train": (
        "vrds",
        "train",
        {
            f"{folder}/city/{n:08d}.png": level
            for folder, level in (
                ("lq", RAINY),
                ("gt", CLEAN),
                ("drop", DROP),
                ("mstreak", STREAK),
                ("01drop", MASK),
            )
            for n in range(3)
        },
        ["city"],
        {"drop_only": DROP, "streak_masks": STREAK, "drop_masks": MASK},
    ),
    "vrds-test": (
        "vrds",
        "test",
        {
            f"{folder}/city/{n:08d}.png": level
            for folder, level in (("testlq", RAINY), ("testgt", CLEAN))
            for n in range(3)
        },
        ["city"],
        {},
    ),
    "lwdds-train": (
        "lwdds",
        "train",
        {
            f"train_vid/{folder}/7/{n}.png": level
            for folder, level in (
                ("rainy_vid", RAINY),
                ("rainy_vid_blur", RAINY),
                ("clean_vid", CLEAN),
                ("rainy_mask", 255 - MASK),
                ("rainy_mask_blur", 255 - MASK),
            )
            for n in (1, 2, 10)
        },
        ["7", "7_blur"],
        {"drop_masks": MASK},
    ),
    "lwdds-test": (
        "lwdds",
        "test",
        {
            f"syn/{folder}/7/{n}.png": level
            for folder, level in (("rainy_vid", RAINY), ("clean_vid", CLEAN))
            for n in (1, 2, 10)
        },
        ["7"],
        {},
    ),
}


@pytest.mark.parametrize("case", CLIP_TREES)
def test_clips_of_each_layout(tmp_path: Path, case: str) -> None:
    kind, split, tree, names, others = CLIP_TREES[case]
    dataset = open_dataset(kind, plant(tmp_path, tree), split=split)
    assert isinstance(dataset, ClipDataset)
    assert LAYOUTS[kind].clips
    clips = list(dataset)
    assert [clip.name for clip in clips] == names
    for clip in clips:
        assert isinstance(clip, Clip)
        assert len(clip) == len(clip.rainy) == len(clip.clean) == 3
        assert all(near(frame, RAINY) for frame in clip.rainy)
        assert all(near(frame, CLEAN) for frame in clip.clean)
        for role in ("drop_only", "streak_masks", "drop_masks"):
            frames = getattr(clip, role)
            if role not in others:
                assert frames is None
            else:
                assert len(frames) == 3
                assert all(near(frame, others[role]) for frame in frames)
                assert frames[0].ndim == (3 if role == "drop_only" else 2)
        assert len(clip.rainy[1:]) == 2
        assert np.array_equal(clip.rainy[1:][0], clip.rainy[1])


def test_frames_are_in_order_of_their_numbers_and_read_when_asked_for(tmp_path: Path) -> None:
    for n in (1, 2, 10):
        plant(tmp_path / "syn", {f"rainy_vid/a/{n}.png": n, f"clean_vid/a/{n}.png": n})
    clip = open_dataset("lwdds", tmp_path, split="test")[0]
    (tmp_path / "syn/clean_vid/a/2.png").unlink()
    assert [int(frame[0, 0, 0]) for frame in clip.rainy] == [1, 2, 10]
    assert int(clip.clean[2][0, 0, 0]) == 10
    with pytest.raises(InputError, match=r"clean_vid/a/2\.png: no such file"):
        clip.clean[1]


def test_every_layout_has_a_reader_and_is_tested() -> None:
    assert list(LAYOUTS) == list(READERS)
    tested = {case[0] for case in (*PAIR_TREES.values(), *CLIP_TREES.values())}
    assert tested | {"rain800", "rain1200", "rainds-syn", "rainds-real", "dprrn"} == set(LAYOUTS)
    for layout in LAYOUTS.values():
        assert layout.title
        assert layout.citation
        assert layout.licence
        assert {"train", "test"} <= set(layout.splits)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_wrong_folder_is_told_from_the_layout(tmp_path: Path, kind: str) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError) as caught:
        open_dataset(kind, tmp_path, split="test")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: holds no test split of {kind}.")
    assert all(line in message for line in LAYOUTS[kind].tree.splitlines())
    assert "found instead: holiday/, notes.txt" in message
    with pytest.raises(InputError, match=f"holds no {kind}"):
        open_splits(kind, tmp_path)


def test_a_missing_folder_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_dataset("raindrop", tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"no kind of data set named 'snow'.*raindrop"):
        open_dataset("snow", tmp_path)
    with pytest.raises(ConfigError, match=r"raindrop has no split 'val'; it has: train, test"):
        open_dataset("raindrop", tmp_path, split="val")


@pytest.mark.parametrize("case", [*PAIR_TREES, *CLIP_TREES])
def test_a_missing_partner_is_named(tmp_path: Path, case: str) -> None:
    kind, split, tree, *_ = (PAIR_TREES | CLIP_TREES)[case]
    plant(tmp_path, tree)
    lost = next(name for name, level in tree.items() if level == CLEAN)
    (tmp_path / lost).unlink()
    with pytest.raises(InputError, match=r"has no partner named .*\.\* in ") as caught:
        open_dataset(kind, tmp_path, split=split)
    rainy = [str(tmp_path / name) for name, level in tree.items() if level == RAINY]
    assert str(caught.value).startswith(tuple(rainy))


def test_partners_of_different_size_are_named(tmp_path: Path) -> None:
    plant(tmp_path, {"test_a/data/3_rain.png": RAINY})
    plant(tmp_path, {"test_a/gt/3_clean.png": CLEAN}, size=(6, 9))
    dataset = open_dataset("raindrop", tmp_path, split="test")
    with pytest.raises(InputError, match=r"3_clean\.png: is 9×6, but its partner .* is 8×6"):
        dataset[0]


def test_the_split_folder_itself_may_be_given_but_not_the_other_one(tmp_path: Path) -> None:
    plant(tmp_path, {"train/data/3_rain.png": RAINY, "train/gt/3_clean.png": CLEAN})
    assert len(open_dataset("raindrop", tmp_path / "train")) == 1
    with pytest.raises(InputError, match="holds no test split"):
        open_dataset("raindrop", tmp_path / "train", split="test")
    assert list(open_splits("raindrop", tmp_path)) == ["train"]


def test_pair_folders(tmp_path: Path) -> None:
    plant(tmp_path, {"r/10.png": 1, "r/9.png": 1, "c/9.jpg": 2, "c/10.png": 2, "c/11.png": 2})
    pairs = pair_folders(tmp_path / "r", tmp_path / "c")
    assert [(a.name, b.name) for a, b in pairs] == [("9.png", "9.jpg"), ("10.png", "10.png")]
    plant(tmp_path, {"c/9.png": 3})
    with pytest.raises(InputError, match=r"9\.png: has the same name as .*9\.jpg"):
        pair_folders(tmp_path / "r", tmp_path / "c")
    with pytest.raises(InputError, match="gone: no such folder"):
        pair_folders(tmp_path / "r", tmp_path / "gone")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: holds no picture"):
        pair_folders(tmp_path / "none", tmp_path / "c")


def test_readers_leave_torch_alone() -> None:
    code = "import sys, rainclear.data.readers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def command() -> Callable[..., tuple[int, str, BaseException | None]]:
    from typer.testing import CliRunner

    from rainclear.cli.data import app

    def run(*words: str) -> tuple[int, str, BaseException | None]:
        result = CliRunner().invoke(app, list(words))
        return result.exit_code, result.output, result.exception

    return run


def test_check_and_list_on_the_command_line(
    tmp_path: Path, command: Callable[..., tuple[int, str, BaseException | None]]
) -> None:
    kind, _, tree, _ = PAIR_TREES["jrsrd"]
    plant(tmp_path, tree)
    code, output, _ = command("check", kind, str(tmp_path))
    assert code == 0
    assert "train  2 pairs" in output
    assert "0_1: 8×6; rainy, clean, drop_only, streak_mask" in output
    code, output, error = command("check", "lwdds", str(tmp_path), "--split", "test")
    assert code != 0
    assert isinstance(error, InputError)
    code, output, _ = command("list")
    assert code == 0
    assert all(kind in output for kind in LAYOUTS)
    code, output, _ = command("list", "vrds")
    assert code == 0
    assert "[train/]lq/CLIP/00000000.png" in output


def test_check_of_clips(
    tmp_path: Path, command: Callable[..., tuple[int, str, BaseException | None]]
) -> None:
    kind, _, tree, *_ = CLIP_TREES["vrds-train"]
    plant(tmp_path, tree)
    code, output, _ = command("check", kind, str(tmp_path))
    assert code == 0
    assert "train  1 clips" in output
    assert "city: 8×6, 3 frames; rainy, clean, drop_only, streak_masks, drop_masks" in output
