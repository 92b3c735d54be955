"""Two processes are one: training with DDP gives the losses of the whole batch."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rainclear.config import ModelSpec
from rainclear.errors import ConfigError, DeviceError
from rainclear.training import fabric
from rainclear.training.checkpoint import load_checkpoint
from rainclear.training.fabric import OneDevice, open_devices
from rainclear.training.run import train_model

MakeSpec = Callable[..., ModelSpec]
COMMAND = "from rainclear.cli.app import main; main()"


def curve(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "losses.jsonl").read_text().splitlines()
    times = ("seconds_per_step", "waiting")
    return [{k: v for k, v in json.loads(line).items() if k not in times} for line in lines]


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_two_processes_train_as_one(data_folder: Path, tmp_path: Path, make_spec: MakeSpec) -> None:
    pytest.importorskip("lightning_fabric")
    spec = make_spec(
        *("training.log_every=1", "training.save_every=3", "training.validate_every=6"),
        *("training.losses.image=psnr", "training.losses.keep=0.1"),
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude_none=True)))
    # What torchrun sets for each process that it starts.
    launcher = {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port()),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    arguments = ["train", str(recipe), "--data", str(data_folder), "-o", str(tmp_path / "two")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments, "--accelerator=cpu", "--no-tensorboard"],
            env=os.environ | launcher | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        one = tmp_path / "one"
        train_model(spec, data_folder, one, tensorboard=False, accelerator="cpu")
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "step 6/6" in outputs[0] and "wrote" in outputs[0]
    assert "step" not in outputs[1] and "wrote" not in outputs[1]

    expected, found = curve(one), curve(tmp_path / "two")
    assert [row["step"] for row in found] == [1, 2, 3, 4, 5, 6]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    # In the middle of a clip the checkpoint holds the state of the whole batch.
    middle = [load_checkpoint(out / "step-00000003.ckpt") for out in (one, tmp_path / "two")]
    assert [(c["sample"], c["part"], c["state"][0].shape[0]) for c in middle] == [(2, 1, 2)] * 2
    difference = (middle[0]["state"][0] - middle[1]["state"][0]).abs().max()
    assert float(difference) < 1e-5


def test_one_device_needs_no_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        fabric.importlib.util,
        "find_spec",
        lambda name: None if name == "lightning_fabric" else find(name),
    )
    alone = open_devices(accelerator="cpu")
    assert isinstance(alone, OneDevice)
    assert (alone.rank, alone.world, alone.device.type) == (0, 1, "cpu")
    with pytest.raises(ConfigError, match=r"rainclear\[train\]"):
        open_devices(accelerator="cpu", devices=2)


def test_the_launcher_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="--devices 3, but the launcher started 2"):
        open_devices(accelerator="cpu", devices=3)
    with pytest.raises(ConfigError, match="--nodes 1, but the launcher started 2"):
        open_devices(accelerator="cpu", nodes=1)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fabric.torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA"):
        open_devices(accelerator="cuda")
