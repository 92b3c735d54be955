"""kill -9 in the middle of a run, and on."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from rainclear.config import ModelSpec
from rainclear.training.run import train_model

# Dies in the step after the one that was saved: in the middle of a clip, the log ahead of the
# checkpoint, without any chance to tidy up.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from rainclear.training.run import read_recipe, train_model

torch.set_num_threads(1)

def report(progress):
    if progress.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

recipe, data, out = sys.argv[1:]
train_model(read_recipe(recipe, []), Path(data), Path(out), report=report, tensorboard=False)
"""


def curve(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "losses.jsonl").read_text().splitlines()
    times = ("seconds_per_step", "waiting")
    return [{k: v for k, v in json.loads(line).items() if k not in times} for line in lines]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """How sums are split among threads shows in the last digits, which are compared here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_kill_9_loses_nothing(
    data_folder: Path, tmp_path: Path, make_spec: Callable[..., ModelSpec]
) -> None:
    spec = make_spec(
        *("training.log_every=1", "training.save_every=3", "training.validate_every=4"),
        *("training.data.frames=3", "training.optim.steps=7"),
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True)))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    done = subprocess.run([sys.executable, "-c", KILLED, recipe, data_folder, killed], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [row["step"] for row in curve(killed)] == [1, 2, 3, 4, 5]
    assert not (killed / "model.safetensors").exists()

    steps: list[int] = []
    train_model(
        spec,
        data_folder,
        killed,
        resume=True,
        report=lambda p: steps.append(p.step),
        tensorboard=False,
    )
    assert steps == [5, 6, 7]
    train_model(spec, data_folder, whole, tensorboard=False)
    for ours, expected in zip(curve(killed), curve(whole), strict=True):
        assert ours == pytest.approx(expected, abs=1e-6)
    logs = [(out / "log.jsonl").read_text() for out in (killed, whole)]
    assert [json.loads(line)["step"] for line in logs[0].splitlines()] == [4, 7]
    assert logs[0] == logs[1]
    weights = [(out / "model.safetensors").read_bytes() for out in (killed, whole)]
    assert weights[0] == weights[1]
