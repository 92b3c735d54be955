"""A comparison of two networks of two steps each."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from rainclear.config import ModelSpec
from rainclear.data.experiment import Experiment, open_experiment
from rainclear.errors import ConfigError, OutputError
from rainclear.runtime.load import load_model
from rainclear.training.chunk import Chunk
from rainclear.training.reproduce import Budget, Entry, Trained, train_entries
from rainclear.training.run import read_recipe

SMALL = [
    "architecture.options.width=2",
    "training.data.crop=32",
    "training.data.batch=2",
    "training.data.workers=0",
    "training.init=kaiming",
]


@pytest.fixture
def jrsrd(tmp_path: Path) -> Experiment:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for role in ("joint", "drop", "clean", "streak"):
            folder = tmp_path / "jrsrd" / split / role
            folder.mkdir(parents=True)
            levels = ("_1", "_2") if role in ("joint", "streak") else ("",)
            shape = (36, 40) if role == "streak" else (36, 40, 3)
            for level in levels:
                picture = rng.integers(0, 256, shape, np.uint8)
                cv2.imwrite(str(folder / f"0{level}.png"), picture)
    return open_experiment(tmp_path / "jrsrd", "joint")


def entry(name: str) -> Entry:
    return Entry(name=name, spec=read_recipe(name, SMALL))


ENTRIES = [entry("dam"), entry("daiam")]


def test_every_network_gets_the_same_steps_and_pictures(
    tmp_path: Path, jrsrd: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    forward = Chunk.forward

    def note(self: Chunk, batch: dict[str, torch.Tensor], state: object) -> object:
        masks = int(batch["streaks"].sum()) == int(batch["drops"].sum())
        seen.append((int(batch["rainy"].sum()), masks))
        return forward(self, batch, state)

    monkeypatch.setattr(Chunk, "forward", note)
    steps: list[tuple[str, int]] = []
    done = list(
        train_entries(
            ENTRIES,
            jrsrd,
            tmp_path / "out",
            Budget(steps=2),
            report=lambda name, progress: steps.append((name, progress.step)),
        )
    )
    assert steps == [("dam", 1), ("dam", 2), ("daiam", 1), ("daiam", 2)]
    assert [p for p, _ in seen[:2]] == [p for p, _ in seen[2:]]
    assert [m for _, m in seen] == [True, True, False, False]  # one mask of all rain, or two
    assert [(row.name, row.steps) for row in done] == [("dam", 2), ("daiam", 2)]
    assert all(isinstance(load_model(str(row.folder)), nn.Module) for row in done)

    steps.clear()
    again = list(train_entries(ENTRIES, jrsrd, tmp_path / "out", Budget(steps=2)))
    assert again == done
    assert steps == []


def test_a_comparison_goes_on_where_it_broke_off(tmp_path: Path, jrsrd: Experiment) -> None:
    def run(folder: str, *, stop: int | None = None) -> list[Trained]:
        def report(name: str, progress: object) -> None:
            if progress.step == stop:
                raise KeyboardInterrupt

        budget = Budget(steps=4)
        return list(train_entries(ENTRIES[1:], jrsrd, tmp_path / folder, budget, report=report))

    with pytest.raises(KeyboardInterrupt):
        run("broken", stop=3)
    before = json.loads((tmp_path / "broken" / "daiam" / "time.json").read_text())["seconds"]
    (broken,), (whole,) = run("broken"), run("whole")
    assert broken.seconds > before > 0
    ours = load_model(str(broken.folder)).state_dict()
    for name, weights in load_model(str(whole.folder)).state_dict().items():
        torch.testing.assert_close(ours[name], weights)


def test_another_comparison_in_the_folder_is_refused(tmp_path: Path, jrsrd: Experiment) -> None:
    list(train_entries(ENTRIES[:1], jrsrd, tmp_path / "out", Budget(steps=1)))
    with pytest.raises(OutputError, match="another budget"):
        list(train_entries(ENTRIES[:1], jrsrd, tmp_path / "out", Budget(steps=2)))


def test_a_plan_of_before_a_setting_was_there_goes_on(tmp_path: Path, jrsrd: Experiment) -> None:
    list(train_entries(ENTRIES[:1], jrsrd, tmp_path / "out", Budget(steps=1)))
    path = tmp_path / "out" / "plan.json"
    plan = json.loads(path.read_text())
    del plan["networks"]["dam"]["training"]["data"]["joint_mask"]
    path.write_text(json.dumps(plan))
    list(train_entries(ENTRIES[:1], jrsrd, tmp_path / "out", Budget(steps=1)))
    spec = read_recipe("dam", [*SMALL, "training.data.batch=1"])
    with pytest.raises(OutputError, match="another budget"):
        list(
            train_entries([Entry(name="dam", spec=spec)], jrsrd, tmp_path / "out", Budget(steps=1))
        )


def test_time_is_shared_equally(tmp_path: Path, jrsrd: Experiment) -> None:
    out = tmp_path / "out"
    for name in ("dam", "daiam"):
        (out / name).mkdir(parents=True)
    paces = {"dam": 2, "daiam": 1}
    for name, steps in paces.items():  # as measured by an earlier session
        (out / name / "speed.json").write_text(json.dumps({"steps": steps}))
    done = list(train_entries(ENTRIES, jrsrd, out, Budget(seconds=60.0)))
    assert {row.name: row.steps for row in done} == paces


def test_a_budget_too_short_for_a_step(tmp_path: Path, jrsrd: Experiment) -> None:
    with pytest.raises(ConfigError, match="give more time"):
        list(train_entries(ENTRIES[:1], jrsrd, tmp_path / "out", Budget(seconds=1e-6)))
    assert not (tmp_path / "out" / "dam" / "last.ckpt").exists()


def test_budgets_are_checked() -> None:
    for wrong in ({}, {"steps": 1, "seconds": 1.0}, {"steps": -1}, {"seconds": -1.0}):
        with pytest.raises(ConfigError):
            Budget(**wrong)


def test_a_recipe_is_needed(tmp_path: Path, jrsrd: Experiment) -> None:
    spec = ModelSpec(name="x", summary="x", architecture={"network": "dam"})
    with pytest.raises(ConfigError, match="no training recipe"):
        list(train_entries([Entry(name="x", spec=spec)], jrsrd, tmp_path, Budget(steps=1)))
