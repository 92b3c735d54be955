"""Runs on halves: what they leave, how they go on, and what they refuse."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from rainclear.config import DualPixelRecipe, ModelSpec
from rainclear.data.dual_pixel import held_out_pairs
from rainclear.data.scenes import load_scenes
from rainclear.errors import ConfigError, InputError, ModelError, OutputError
from rainclear.nn.dprrn import DPRRN
from rainclear.runtime.load import load_model
from rainclear.training import history
from rainclear.training.checkpoint import load_checkpoint
from rainclear.training.dual_pixel_losses import score_pairs
from rainclear.training.dual_pixel_run import train_dual_pixel
from rainclear.training.run import read_recipe

MASKS = (": mask found", ": true mask")
MakeSpec = Callable[..., ModelSpec]


def test_a_run_leaves_a_model(data_folder: Path, tmp_path: Path, dual_spec: MakeSpec) -> None:
    out, steps = tmp_path / "out", []
    spec = dual_spec("training.validate_every=1")
    assert train_dual_pixel(spec, data_folder, out, report=steps.append) == out
    assert [p.step for p in steps] == [1, 2, 3, 4]
    # The warm-up trains no picture, so it cannot give the best one.
    assert (steps[0].validation.keys(), steps[0].best) == ({"iou"}, -math.inf)
    assert steps[3].validation.keys() == {"input", "output", "gain", "ssim", "iou"}
    assert steps[3].best == max(p.validation["output"] for p in steps[1:])
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [1, 2, 3, 4]
    described = yaml.safe_load((out / "model.yaml").read_text())
    assert described["architecture"] == {"network": "dprrn", "options": {"width": 2}}
    held_out = held_out_pairs(load_scenes(data_folder, ["held-out.png"], max_frames=1))
    exported = load_model(str(out))
    assert isinstance(exported, DPRRN)
    assert score_pairs(exported, held_out)["output"] == pytest.approx(steps[-1].best, abs=1e-4)
    with pytest.raises(OutputError, match="--resume"):
        train_dual_pixel(dual_spec(), data_folder, out)
    # What the run wrote is a recipe that can be trained again.
    read_recipe(str(out / "model.yaml"), [])


def test_a_resumed_run_is_the_uninterrupted_one(
    data_folder: Path, tmp_path: Path, dual_spec: MakeSpec
) -> None:
    class Killed(Exception):
        pass

    def kill(progress) -> None:
        if progress.step == 3:  # one step after the last checkpoint
            raise Killed

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    spec = dual_spec("training.validate_every=4", "training.save_every=2")
    train_dual_pixel(spec, data_folder, whole)
    with pytest.raises(Killed):
        train_dual_pixel(spec, data_folder, cut, report=kill)
    for other in ("training.optim.lr=9.0e-3", "architecture.options={width: 2, single: true}"):
        changed = dual_spec("training.validate_every=4", "training.save_every=2", other)
        with pytest.raises(ConfigError, match="the run was begun with"):
            train_dual_pixel(changed, data_folder, cut, resume=True)
    steps = []
    train_dual_pixel(spec, data_folder, cut, resume=True, report=lambda p: steps.append(p.step))
    assert steps == [3, 4]
    assert (cut / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    a, b = (load_file(folder / "model.safetensors") for folder in (whole, cut))
    for name in a:
        torch.testing.assert_close(a[name], b[name], atol=1e-6, rtol=1e-6)


def test_a_run_leaves_a_report(data_folder: Path, tmp_path: Path, dual_spec: MakeSpec) -> None:
    out = tmp_path / "out"
    spec = dual_spec("training.validate_every=1", "training.log_every=2")
    shown: dict[int, set[str]] = {}
    train_dual_pixel(
        spec,
        data_folder,
        out,
        report=lambda p: shown.update({p.step: set(p.pictures)}),
        tensorboard=False,
    )
    rows = history.read(out / "losses.jsonl")
    assert rows[-1].keys() >= {"total", "left_mask", "final", "lr", "seconds_per_step", "waiting"}
    halves = {f"{s} half{part}" for s in ("left", "right") for part in ("", *MASKS)}
    assert shown[1] == halves | {"truth"}  # the warm-up trains no result
    assert shown[4] == halves | {"truth", "result"}
    page = (out / "report.html").read_text()
    assert page.count("<img") == 8 and "ssim and iou" in page
    best = max(history.read(out / "log.jsonl"), key=lambda row: row.get("output", -math.inf))
    assert f"best, step {best['step']}<" in page
    assert not (out / "tensorboard").exists()


def test_tensorboard_is_asked_for(data_folder: Path, tmp_path: Path, dual_spec: MakeSpec) -> None:
    pytest.importorskip("tensorboard")
    train_dual_pixel(dual_spec(), data_folder, tmp_path / "out", tensorboard=True)
    assert list((tmp_path / "out" / "tensorboard").glob("events*"))


def test_what_a_killed_run_does_again_is_in_its_logs_once(
    data_folder: Path, tmp_path: Path, dual_spec: MakeSpec
) -> None:
    class Killed(Exception):
        pass

    def kill(progress) -> None:
        if progress.step == 3:  # after the lines of its validation, before its checkpoint
            raise Killed

    spec, out = dual_spec("training.validate_every=1", "training.log_every=1"), tmp_path / "out"
    with pytest.raises(Killed):
        train_dual_pixel(spec, data_folder, out, report=kill, tensorboard=False)
    assert load_checkpoint(out / "last.ckpt")["step"] == 2
    train_dual_pixel(spec, data_folder, out, resume=True, tensorboard=False)
    for name in ("log.jsonl", "losses.jsonl"):
        assert [row["step"] for row in history.read(out / name)] == [1, 2, 3, 4], name


def test_ctrl_c_saves_first(data_folder: Path, tmp_path: Path, dual_spec: MakeSpec) -> None:
    def interrupt(progress) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_dual_pixel(dual_spec(), data_folder, tmp_path / "out", report=interrupt)
    assert load_checkpoint(tmp_path / "out" / "last.ckpt")["step"] == 1


def test_what_it_refuses(data_folder: Path, tmp_path: Path, dual_spec: MakeSpec) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"no section 'training\.dual_pixel'"):
        train_dual_pixel(dual_spec("training.dual_pixel=null"), data_folder, out)
    for setting in ("optim.final_lr", "optim.warmup", "data.frames"):
        with pytest.raises(ConfigError, match=setting):
            train_dual_pixel(dual_spec(f"training.{setting}=1"), data_folder, out)
    with pytest.raises(ConfigError, match=r"training\.losses"):
        train_dual_pixel(dual_spec("training.losses.keep=1.0"), data_folder, out)
    with pytest.raises(ConfigError, match="'dam' does not take dual-pixel halves"):
        train_dual_pixel(dual_spec("architecture={network: dam}"), data_folder, out)
    with pytest.raises(InputError, match="nowhere"):
        train_dual_pixel(dual_spec(), tmp_path / "nowhere", out)
    with pytest.raises(ModelError, match="no checkpoint"):
        train_dual_pixel(dual_spec(), data_folder, out, resume=True)


def test_a_broken_score_stops(
    data_folder: Path, tmp_path: Path, dual_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dict.fromkeys(("input", "output", "gain", "ssim", "iou"), math.nan)
    monkeypatch.setattr("rainclear.training.dual_pixel.score_pairs", lambda *_: broken)
    with pytest.raises(ModelError, match="score of the validation became nan at step 3"):
        train_dual_pixel(dual_spec(), data_folder, tmp_path / "out", tensorboard=False)


def test_the_shipped_recipe_is_the_paper_s() -> None:
    spec = read_recipe("dprrn", [])
    assert spec.architecture.network == "dprrn" and spec.training is not None
    assert spec.training.optim.lr == 1e-3
    assert spec.training.dual_pixel == DualPixelRecipe()
    assert "single" not in spec.architecture.options
    assert read_recipe("dprrn", ["architecture.options.single=true"]).architecture.options["single"]
