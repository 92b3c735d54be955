"""Trains the networks of one of the paper's tables, each with the same budget.

Two budgets are offered, and both are equal for all rows:

- *steps*: every network takes the same number of optimiser steps over the same pictures, crops and
  flips in the same order. Larger networks take longer.
- *seconds*: every network gets the same training time. Its speed is measured first, on steps that
  are thrown away, and the number of steps follows; then it trains those, so that its schedule of
  learning rates is complete. Measuring, reading data sets and scoring do not count.

No network is chosen by its score: the weights at the last step are what is scored.
"""

import contextlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.config import DataRecipe, ModelSpec
from rainclear.data.experiment import Experiment
from rainclear.errors import ConfigError, OutputError
from rainclear.runtime.load import build_network
from rainclear.training.checkpoint import whole_file
from rainclear.training.fabric import Devices
from rainclear.training.init import initialise
from rainclear.training.progress import Progress
from rainclear.training.run import export_model
from rainclear.training.trainer import Trainer

__all__ = ["Budget", "Entry", "Trained", "train_entries"]

_PROBE_STEPS, _PROBE_MOST, _PROBE_SHARE = 5, 100, 0.05
_SAVES = 10  # checkpoints of a run, at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One network of a comparison.

    Attributes:
        name: Name of its folder; unique in the comparison.
        spec: Network and recipe; the number of steps is set by the budget.
    """

    name: str
    spec: ModelSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What each network gets: ``steps``, or an equal share of ``seconds`` for all together."""

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ConfigError("give either a number of steps or a time for the budget")
        if (self.steps or self.seconds or 0) <= 0:
            raise ConfigError("the budget must be more than nothing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A network after its training.

    Attributes:
        name: Of its entry.
        folder: Model folder that ``--model`` takes.
        steps: Steps taken.
        seconds: Time that its steps took, in all sessions together.
    """

    name: str
    folder: Path
    steps: int
    seconds: float


class _NoChoice:
    """Nothing is chosen by a score; the last weights are kept."""

    example: dict[str, Tensor] | None = None

    def __call__(self, network: nn.Module) -> dict[str, float]:
        return {"score": 0.0}


def train_entries(
    entries: Sequence[Entry],
    data: Experiment,
    out: Path,
    budget: Budget,
    *,
    devices: Devices | None = None,
    report: Callable[[str, Progress], None] = lambda name, progress: None,
) -> Iterator[Trained]:
    """Train one network after the other, and yield each when it is done.

    A folder that holds a part of the same comparison is gone on with: finished networks are yielded
    at once, and one that was broken off goes on from its checkpoint.

    Args:
        entries: The networks, in order.
        data: What they train on.
        out: Folder; each network gets one of its own inside.
        budget: What each gets.
        devices: Where training runs; the CPU by default.
        report: Called with the network's name after every step.

    Raises:
        OutputError: The folder holds another comparison.
        ConfigError: A recipe has no training section, or the time is too short for a step.
        ModelError: A loss became NaN.
    """
    _claim(out, entries, data, budget)
    for entry in entries:
        folder = out / entry.name
        done = _read(folder / "done.json")
        if done is None:
            run = _Run(entry, data, folder, devices)
            done = _train(run, _steps(run, budget, len(entries)), report)
        yield Trained(name=entry.name, folder=folder / "model", **done)


def _claim(out: Path, entries: Sequence[Entry], data: Experiment, budget: Budget) -> None:
    """Write down what is compared, or see that the folder holds the same."""
    networks = {entry.name: entry.spec.model_dump(mode="json") for entry in entries}
    wanted = {"data": data.source, "budget": asdict(budget), "networks": networks}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    found = _read(out / "plan.json")
    if found is not None:
        for name, before in found.get("networks", {}).items():
            if name in networks:
                networks[name]["training"] = _known(networks[name]["training"], before["training"])
    if found is not None and found != json.loads(json.dumps(wanted)):
        raise OutputError(
            f"{out}: holds a comparison with another budget, recipe or data; give the same to go "
            "on, or another --out"
        )
    if found is None:
        _write(out / "plan.json", wanted)


def _known(now: Any, before: Any) -> Any:
    """Settings without those that the version of rainclear that wrote ``before`` did not have."""
    if not (isinstance(now, dict) and isinstance(before, dict)):
        return now
    return {name: _known(value, before[name]) for name, value in now.items() if name in before}


@dataclass(frozen=True, slots=True)
class _Run:
    entry: Entry
    data: Experiment
    folder: Path
    devices: Devices | None

    def __call__(
        self, steps: int, report: Callable[[Progress], None], *, folder: Path | None = None
    ) -> tuple[nn.Module, ModelSpec]:
        """Train, from the checkpoint if there is one; the averaged network and its final recipe."""
        recipe, folder = self.entry.spec.training, folder or self.folder
        if recipe is None:
            raise ConfigError(f"model {self.entry.name!r} has no training recipe")
        every = max(1, steps // _SAVES)
        recipe = recipe.model_copy(
            update={
                "optim": recipe.optim.model_copy(update={"steps": steps}),
                "data": _still(recipe.data),
                "validate_every": steps,
                "save_every": every,
            }
        )
        torch.manual_seed(recipe.optim.seed)
        network = build_network(self.entry.spec.architecture)
        if recipe.init is not None:
            initialise(network, recipe.init)
        clips = self.data.clips(recipe.data, seed=recipe.optim.seed)
        trainer = Trainer(network, recipe, clips, _NoChoice(), folder, devices=self.devices)
        if trainer.checkpoint.exists():
            trainer.resume()
        trainer.run(report)
        return trainer.average, self.entry.spec.model_copy(update={"training": recipe})


def _steps(run: _Run, budget: Budget, networks: int) -> int:
    """The number of steps, measured once and then kept for a run that goes on."""
    if budget.steps is not None:
        return budget.steps
    path = run.folder / "speed.json"
    kept = _read(path)
    if kept is None:
        share = (budget.seconds or 0.0) / networks
        pace = _pace(run, share)
        kept = {"seconds_per_step": pace, "steps": int(share / pace)}
        if kept["steps"] < 1:
            raise ConfigError(
                f"{run.entry.name}: a step takes {pace:.1f} s and its share of the budget is "
                f"{share:.1f} s; give more time, or smaller crops or networks"
            )
        _write(path, kept)
    return int(kept["steps"])


class _Enough(Exception):
    """The pace is known."""


def _pace(run: _Run, share: float) -> float:
    """Median seconds of a step, over at least five steps and a twentieth of its share of time."""
    times: list[float] = []

    def note(progress: Progress) -> None:
        times.append(time.perf_counter())
        if len(times) >= _PROBE_STEPS and times[-1] - times[0] > _PROBE_SHARE * share:
            raise _Enough

    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(_Enough):
        run(_PROBE_MOST, note, folder=Path(scratch))
    return statistics.median(b - a for a, b in itertools.pairwise(times))


def _train(run: _Run, steps: int, report: Callable[[str, Progress], None]) -> dict[str, Any]:
    folder = run.folder
    before = _read(folder / "time.json") or {"seconds": 0.0}
    spent, last = float(before["seconds"]), time.perf_counter()

    def count(progress: Progress) -> None:
        nonlocal spent, last
        spent += time.perf_counter() - last
        if progress.saved:
            _write(folder / "time.json", {"seconds": spent})
        report(run.entry.name, progress)
        last = time.perf_counter()

    network, spec = run(steps, count)
    export_model(network.cpu(), spec, folder / "model")
    done = {"steps": steps, "seconds": round(spent, 2)}
    _write(folder / "done.json", done)
    return done


def _still(recipe: DataRecipe) -> DataRecipe:
    """The paper's experiments are on pictures."""
    return recipe.model_copy(update={"frames": 1, "backprop": 1})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OutputError(f"{path}: is damaged ({error}); remove it to measure anew") from error
    return value


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write((json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
