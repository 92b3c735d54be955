"""A run goes on with the settings that it was begun with."""

import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rainclear.config import ModelSpec, load_yaml
from rainclear.errors import ConfigError, ModelError
from rainclear.training import history
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint
from rainclear.training.not_a_number import broken_step
from rainclear.training.progress import Progress
from rainclear.training.run import train_model
from rainclear.training.same_run import refuse_other_settings, run_settings

MakeSpec = Callable[..., ModelSpec]


class Killed(Exception):
    pass


def kill(progress: object) -> None:
    if getattr(progress, "step", 0) == 3:  # one step after the last checkpoint
        raise Killed


def test_a_run_goes_on_from_an_older_checkpoint_with_a_lower_rate(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec
) -> None:
    """As docs/training.md says, with a copy that is newer than the batch that stopped the run."""
    out, often = tmp_path / "out", ("training.save_every=1", "training.validate_every=5")

    def broken(progress: Progress) -> None:
        if progress.step == 3:
            raise broken_step(out, "the loss", math.nan, step=3, batch={})

    with pytest.raises(ModelError, match="--resume"):
        train_model(make_spec(*often), data_folder, out, report=broken, tensorboard=False)
    shutil.copyfile(out / "step-00000001.ckpt", out / "last.ckpt")
    later = (out / "nan-batch.ckpt").stat().st_mtime + 1
    os.utime(out / "last.ckpt", (later, later))
    steps: list[int] = []
    lower = make_spec(*often, "training.optim.lr=1e-4")
    train_model(
        lower,
        data_folder,
        out,
        resume=True,
        report=lambda p: steps.append(p.step),
        tensorboard=False,
    )
    assert steps == [2, 3, 4, 5, 6]
    rows = history.read(out / "losses.jsonl")
    assert rows[-1]["step"] == 6 and load_checkpoint(out / "last.ckpt")["step"] == 6
    lowest = make_spec("training.optim.lr=1e-5", "training.optim.steps=7")
    with pytest.raises(ConfigError, match=r"optim\.lr"):  # the run has gone on since
        train_model(lowest, data_folder, out, resume=True, tensorboard=False)


@pytest.fixture
def go_on(tmp_path: Path, make_spec: MakeSpec) -> Callable[..., None]:
    """Asks whether a run of ``make_spec()`` may go on with overrides."""

    def settings(*overrides: str) -> dict:
        spec = make_spec(*overrides)
        assert spec.training is not None
        return run_settings(spec.training, spec.architecture)

    checkpoint = tmp_path / "last.ckpt"
    save_checkpoint(checkpoint, {"settings": settings()})

    def ask(*overrides: str) -> None:
        refuse_other_settings(checkpoint, load_checkpoint(checkpoint), settings(*overrides))

    return ask


def test_a_killed_run_does_not_go_on_with_other_settings(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Killed):
        spec = make_spec("training.save_every=2")
        train_model(spec, data_folder, out, report=kill, tensorboard=False)
    before = (out / "last.ckpt").read_bytes()
    other = make_spec("training.save_every=2", "training.optim.lr=9e-3", "training.data.dry=0.5")
    with pytest.raises(ConfigError) as caught:
        train_model(other, data_folder, out, resume=True, tensorboard=False)
    for part in (str(out), "optim.lr=0.001 (now 0.009)", "data.dry=0.1 (now 0.5)", "--out"):
        assert part in str(caught.value)
    assert "save_every" not in str(caught.value)
    assert (out / "last.ckpt").read_bytes() == before
    assert not (out / "model.yaml").exists()

    longer = make_spec("training.save_every=4", "training.optim.steps=7")
    train_model(longer, data_folder, out, resume=True, tensorboard=False)
    described = load_yaml(out / "model.yaml")["training"]
    assert (described["optim"]["lr"], described["optim"]["steps"]) == (1e-3, 7)


@pytest.mark.parametrize(
    "change",
    [
        "training.data.batch=4",
        "training.data.include=[held-out.png]",
        "training.optim.seed=1",
        "training.losses.keep=0.1",
        "training.start_from=d-daiam-rt",
        "training.precision=bf16",
        "architecture.options={deep_channels: 16, hidden: 4, block: 2}",
    ],
)
def test_refused(go_on: Callable[..., None], change: str) -> None:
    name = change.partition("=")[0].removeprefix("training.")
    with pytest.raises(ConfigError, match=f"begun with {re.escape(name)}="):
        go_on(change)


def test_free(go_on: Callable[..., None]) -> None:
    go_on()
    go_on(
        *("training.optim.steps=60", "training.optim.accumulate=2", "training.data.workers=3"),
        *("training.save_every=7", "training.validate_every=7", "training.log_every=7"),
        *("training.keep_last=7", "training.pack=true", "training.unveil.rounds=2"),
    )


def test_the_fit_of_the_veil_is_free_until_a_round_is_done(
    go_on: Callable[..., None], tmp_path: Path
) -> None:
    go_on("training.unveil.clips=5")
    (tmp_path / "unveil-1.ckpt").touch()
    go_on("training.unveil.rounds=3")
    with pytest.raises(ConfigError, match=r"unveil\.clips=400 \(now 5\)"):
        go_on("training.unveil.clips=5")


def test_the_rate_may_fall_after_a_loss_that_is_no_number(
    go_on: Callable[..., None], tmp_path: Path
) -> None:
    """As the message of that stop says."""
    lower = ("training.optim.lr=1e-4", "training.optim.clip_norm=0.5")
    batch, written = tmp_path / "nan-batch.ckpt", (tmp_path / "last.ckpt").stat().st_mtime
    batch.touch()
    os.utime(batch, (written + 1, written + 1))
    go_on(*lower)
    with pytest.raises(ConfigError, match=r"data\.batch"):
        go_on(*lower, "training.data.batch=4")
    os.utime(batch, (written - 1, written - 1))  # the run has gone on since
    with pytest.raises(ConfigError, match=r"optim\.lr"):
        go_on(*lower)


def test_what_another_version_does_not_know_is_left_out(
    tmp_path: Path, make_spec: MakeSpec
) -> None:
    recipe = make_spec().training
    assert recipe is not None
    now, path = run_settings(recipe, None), tmp_path / "last.ckpt"
    path.touch()
    before = {"training": {**now["training"], "of_old": 1}}
    del before["training"]["channels_last"]
    refuse_other_settings(path, {"settings": before}, now)
    refuse_other_settings(path, {}, now)
