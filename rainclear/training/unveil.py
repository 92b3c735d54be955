"""What finds the veil, fitted to whole frames at the end of a training.

One rain falls on all of a frame, of which crops show little. What the network's
:class:`rainclear.nn.unveil.Unveil` reads is collected on clips of whole frames, and it alone is
fitted to that. The state that a network carries depends on its own pictures, so the next round
collects with what this one found, and fits to the clips of all rounds (DAgger; Ross et al., 2011).
"""

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rainclear.config import TrainingRecipe
from rainclear.data.rainy import RainyClips
from rainclear.nn.reparam import fold_reparam
from rainclear.training import history
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint
from rainclear.training.feed import feed
from rainclear.training.pictures import explain
from rainclear.training.progress import Picture, Progress
from rainclear.training.scorer import Scorer
from rainclear.training.unveil_fit import fit_cells
from rainclear.training.unveil_samples import CellSample, WholeFrames, collect, unveil_of

__all__ = ["finished_rounds", "fit_unveil"]

Tell = Callable[[Progress], None]


def finished_rounds(folder: Path, step: int) -> list[dict[str, Any]]:
    """Checkpoints of the rounds in a run's folder, first to last.

    Args:
        folder: Folder of the run.
        step: Step whose weights they have to be of; those of others do not count.
    """
    found: list[dict[str, Any]] = []
    while (path := _path(folder, len(found) + 1)).exists():
        saved = load_checkpoint(path)
        if saved.get("step") != step:
            break
        found.append(saved)
    return found


def _path(folder: Path, number: int) -> Path:
    return folder / f"unveil-{number}.ckpt"


def fit_unveil(
    network: nn.Module,
    clips: RainyClips,
    recipe: TrainingRecipe,
    folder: Path,
    *,
    step: int,
    last: int,
    finished: list[dict[str, Any]],
    validation: Scorer | None = None,
    tell: Tell = lambda progress: None,
) -> None:
    """Do the rounds that are left of ``recipe.unveil`` and leave the result in ``network``.

    All other weights stay as they are. Each round leaves ``unveil-<number>.ckpt``, and its scores
    in ``log.jsonl``.

    Args:
        network: The network, on the device that it shall run on.
        clips: Gives the scenes, the shares of the mixture and the seed.
        recipe: The training's.
        folder: Folder of the run.
        step: Step that the network's weights are of.
        last: Last step of the training; clips and steps are counted on from it.
        finished: Rounds that were done, from :func:`finished_rounds`.
        validation: Scores the network after each round.
        tell: Called after each clip and each step; the loss ``unveil`` is the geometric mean share
            of the squared error that is left, first of what was collected, then of what is fitted.

    Raises:
        ConfigError: The network has no part that finds the veil.
        ModelError: The loss became NaN.
        OutputError: A checkpoint or the log cannot be written.
    """
    unveil, settings = unveil_of(network), recipe.unveil
    model = fold_reparam(copy.deepcopy(network)).eval()
    model.to(memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format)
    head, source = unveil_of(model), WholeFrames(clips, settings.frames)
    samples: list[CellSample] = []
    for saved in finished:
        samples += [CellSample(**sample) for sample in saved["samples"]]
        head.load_state_dict(saved["head"])
        history.append(folder / "log.jsonl", saved["scores"])
    done, steps = (last + n * settings.round_steps for n in (len(finished), settings.rounds))
    count = _Count(tell, done, steps)
    for number in range(len(finished) + 1, settings.rounds + 1):
        new: list[CellSample] = []
        for found in _collect_round(model, source, recipe, number):
            new += found
            count(math.exp(sum(sample.log_left for sample in found) / len(found)))
        samples += new
        fit = fit_cells(head, samples, settings, seed=recipe.optim.seed + number)
        for left, rate in itertools.islice(fit, settings.steps - 1):
            count(left, lr=rate)
        left, rate = next(fit)
        scores: dict[str, float] = {}
        if validation is not None:
            scores, example = validation(model), validation.example
            count.scored(scores, {} if example is None else explain(model, example))
        count(left, lr=rate, saved=True)
        row = {"step": count.done, **scores}
        history.append(folder / "log.jsonl", row)
        state = {name: value.cpu() for name, value in head.state_dict().items()}
        kept = [sample._asdict() for sample in new]
        save_checkpoint(
            _path(folder, number), {"step": step, "head": state, "scores": row, "samples": kept}
        )
    unveil.load_state_dict(head.state_dict())


def _collect_round(
    model: nn.Module, source: WholeFrames, recipe: TrainingRecipe, number: int
) -> Iterator[list[CellSample]]:
    clips, workers = recipe.unveil.clips, recipe.data.workers
    batches = feed(source, start=(number - 1) * clips, batch=1, workers=workers)
    with closing(batches):  # type: ignore[type-var]
        chosen = itertools.islice(batches, clips)
        yield from collect(model, chosen, bf16=recipe.precision == "bf16")


class _Count:
    """Tells of clips and steps as a trainer tells of its steps."""

    def __init__(self, tell: Tell, done: int, steps: int) -> None:
        self.tell, self.done, self.steps = tell, done, steps
        self._best, self._mean, self._seconds = -math.inf, math.nan, 0.0
        self._scores: dict[str, float] = {}
        self._pictures: dict[str, Picture] = {}
        self._before = time.perf_counter()

    def scored(self, scores: dict[str, float], pictures: dict[str, Picture]) -> None:
        """Tell of a validation from the next step on."""
        self._scores, self._pictures = scores, pictures
        self._best = max(self._best, scores["score"])

    def __call__(self, left: float, *, lr: float = math.nan, saved: bool = False) -> None:
        """Tell of one more, of the share of the error that is left."""
        now = time.perf_counter()
        spent, self._before = now - self._before, now
        self._seconds = 0.95 * self._seconds + 0.05 * spent if self._seconds else spent
        self._mean = left if math.isnan(self._mean) else 0.98 * self._mean + 0.02 * left
        self.done += 1
        self.tell(
            Progress(
                step=self.done,
                steps=self.steps,
                losses={"unveil": self._mean},
                seconds_per_step=self._seconds,
                waiting=0.0,
                validation=self._scores,
                best=self._best,
                now={"unveil": left},
                lr=lr,
                pictures=self._pictures,
                saved=saved,
            )
        )
