"""The joint set: counts, the same files for a seed, going on where a run stopped."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.data import jrsrd as module
from rainclear.data.jrsrd import build_jrsrd, streak_rain
from rainclear.data.readers import open_dataset
from rainclear.errors import InputError, OutputError

TRAIN, TEST = 3, 2


@pytest.fixture(scope="module")
def raindrop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("raindrop")
    rng = np.random.default_rng(0)
    for split, count in (("train", TRAIN), ("test_a", TEST)):
        for number in range(count):
            coarse = rng.integers(0, 180, (5, 6, 3), np.uint8)
            clean = cv2.resize(coarse, (72, 48))
            drop = cv2.GaussianBlur(clean, (0, 0), 3)
            for role, name, picture in (("data", "rain", drop), ("gt", "clean", clean)):
                path = root / split / role / f"{number}_{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), picture)
    return root


@pytest.fixture(scope="module")
def built(raindrop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("joint") / "set"
    calls: list[tuple[int, int]] = []
    report = build_jrsrd(raindrop, out, seed=7, progress=lambda *call: calls.append(call))
    assert (report.train, report.test, report.made) == (4 * TRAIN, 4 * TEST, 4 * (TRAIN + TEST))
    total = 4 * (TRAIN + TEST)
    assert calls == [(done, total) for done in range(4, total + 1, 4)]
    return out


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_four_pictures_of_each(built: Path, raindrop: Path) -> None:
    for split, count in (("train", TRAIN), ("test", TEST)):
        for role, files in (("joint", 4), ("streak", 4), ("meta", 4), ("drop", 1), ("clean", 1)):
            assert len(list((built / split / role).iterdir())) == files * count
        dataset = open_dataset("jrsrd", built, split=split)
        source = {pair.name: pair for pair in open_dataset("raindrop", raindrop, split=split)}
        assert len(dataset) == 4 * count
        for pair in dataset:
            scene, _, level = pair.name.partition("_")
            meta = json.loads((built / split / "meta" / f"{pair.name}.json").read_text())
            assert meta["picture"] == scene
            assert meta["level"] == int(level)
            assert meta["seed"] == 7
            assert 0.1 + 0.1 * int(level) <= meta["noise"] <= 0.2 + 0.1 * int(level)
            assert len(meta["rain"]["layers"]) == 2
            assert np.array_equal(pair.drop_only, source[scene].rainy)
            assert np.array_equal(pair.clean, source[scene].clean)
            # The mask is the difference of the pictures: what the losses take it for.
            difference = np.abs(pair.rainy.astype(float) - pair.drop_only).mean(axis=2)
            expected = np.minimum(difference / meta["mask_full_scale"], 255)
            assert np.abs(expected - pair.streak_mask).max() < 3
            assert (pair.rainy.astype(int) >= pair.drop_only.astype(int) - 1).all()
            assert pair.streak_mask.mean() > 5


def test_rain_grows_with_the_level(built: Path) -> None:
    means = np.array([pair.streak_mask.mean() for pair in open_dataset("jrsrd", built)])
    by_level = means.reshape(TRAIN, 4).mean(axis=0)
    assert by_level[3] > by_level[0]


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_levels_divide_the_noise_of_the_paper(level: int) -> None:
    drawn = [streak_rain(np.random.default_rng(seed), level, height=480) for seed in range(50)]
    noise = np.array([share for share, _ in drawn])
    assert noise.min() >= 0.1 + 0.1 * level
    assert noise.max() <= 0.2 + 0.1 * level
    angles = np.array([params.layers[0].angle for _, params in drawn])
    assert angles.min() < -15
    assert angles.max() > 15
    assert all(layer.family == "noise" for _, params in drawn for layer in params.layers)
    assert all(params.drops is None for _, params in drawn)


def test_the_seed_decides_every_bit(built: Path, raindrop: Path, tmp_path: Path) -> None:
    build_jrsrd(raindrop, tmp_path / "again", seed=7)
    assert contents(tmp_path / "again") == contents(built)
    build_jrsrd(raindrop, tmp_path / "other", seed=8)
    ours, other = contents(built), contents(tmp_path / "other")
    assert ours.keys() == other.keys()
    for name in ours:
        same = name.split("/")[1:2] in (["drop"], ["clean"])
        assert (ours[name] == other[name]) == same, name


def test_a_run_goes_on_where_it_stopped(
    built: Path, raindrop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    write, budget = module._write, [17]

    def dies(path: Path, data: bytes) -> None:
        budget[0] -= 1
        if budget[0] < 0:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(module, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        build_jrsrd(raindrop, out, seed=7)
    monkeypatch.setattr(module, "_write", write)
    assert not [name for name in contents(out) if "partial" in name]
    untouched = out / "train" / "meta" / "0_1.json"
    before = untouched.stat().st_mtime_ns
    report = build_jrsrd(raindrop, out, seed=7)
    assert 0 < report.made < 4 * (TRAIN + TEST)
    assert untouched.stat().st_mtime_ns == before
    assert contents(out) == contents(built)
    assert build_jrsrd(raindrop, out, seed=7).made == 0


def test_what_is_there_is_not_mixed_with_another_seed(
    raindrop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    build_jrsrd(raindrop, out, seed=7)
    before = contents(out)
    with pytest.raises(OutputError, match="holds a JRSRD made otherwise"):
        build_jrsrd(raindrop, out, seed=8)
    assert contents(out) == before
    # Writing over is broken off: the rest of the old seed is not taken for finished.
    write, budget = module._write, [10]

    def dies(path: Path, data: bytes) -> None:
        budget[0] -= 1
        if budget[0] < 0:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(module, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        build_jrsrd(raindrop, out, seed=8, overwrite=True)
    monkeypatch.setattr(module, "_write", write)
    build_jrsrd(raindrop, out, seed=8)
    build_jrsrd(raindrop, tmp_path / "fresh", seed=8)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_folder_with_other_things_is_left_alone(raindrop: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="is not empty and holds no JRSRD"):
            build_jrsrd(raindrop, tmp_path, overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_the_raindrop_set_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "raindrop").mkdir()
    with pytest.raises(InputError, match="holds no train split of raindrop"):
        build_jrsrd(tmp_path / "raindrop", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(raindrop: Path, built: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from rainclear.cli.data import app

    out = tmp_path / "set"
    result = CliRunner().invoke(app, ["jrsrd", str(raindrop), str(out), "--seed", "7"])
    assert result.exit_code == 0
    assert "12 training and 8 test pictures, 20 made now" in result.output
    assert contents(out) == contents(built)
    result = CliRunner().invoke(app, ["jrsrd", str(raindrop), str(out), "--seed", "7"])
    assert ", 0 made now" in result.output
