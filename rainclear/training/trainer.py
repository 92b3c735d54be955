"""The training loop: clips in, losses by name out, validated weights kept."""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rainclear.config import OptimRecipe, TrainingRecipe
from rainclear.data.rainy import RainyClips
from rainclear.errors import ModelError
from rainclear.nn.output import Derained
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint
from rainclear.training.losses import derained_losses, total
from rainclear.training.validation import Validation

__all__ = ["Progress", "Trainer", "learning_rate"]

_PICTURES = ("rainy", "clean", "streaks", "drops")


def learning_rate(step: int, recipe: OptimRecipe) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``final_lr``."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    share = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return recipe.final_lr + 0.5 * (recipe.lr - recipe.final_lr) * (1 + math.cos(math.pi * share))


@dataclass(kw_only=True, slots=True)
class Progress:
    """What a step reports: losses by name (running means), speed, and the last validation."""

    step: int
    steps: int
    losses: dict[str, float]
    seconds_per_step: float
    waiting: float
    validation: dict[str, float] = field(default_factory=dict)
    best: float = -math.inf


class Trainer:
    """Trains one network by a recipe; everything it needs to go on later is in ``folder``.

    Args:
        network: The network, in training form.
        recipe: Data mix, losses, schedule.
        clips: Source of training samples.
        validation: Scores the averaged weights.
        folder: Where checkpoints, the log and the best weights go.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: TrainingRecipe,
        clips: RainyClips,
        validation: Validation,
        folder: Path,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.recipe, self.clips, self.validation, self.folder = recipe, clips, validation, folder
        self.optimizer = torch.optim.Adam(network.parameters(), lr=recipe.optim.lr)
        self.average = copy.deepcopy(network).eval()
        self.step, self.best = 0, -math.inf
        self._state: tuple[Tensor, ...] | None = None  # carried to the next chunk of the clip
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint of the run."""
        return self.folder / "last.ckpt"

    def resume(self) -> None:
        """Go on from the newest checkpoint in the folder, in the middle of a clip if need be.

        Raises:
            ModelError: There is no checkpoint, or it is of another network.
        """
        state = load_checkpoint(self.checkpoint)
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.best = state["step"], state["best"]
        except (KeyError, ValueError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            raise ModelError(f"{self.checkpoint} is not of this network: {line}") from error
        self._state = state.get("state")

    def save(self) -> None:
        """Write the newest checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
            "state": self._state,
        }
        save_checkpoint(self.checkpoint, state)

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train until the recipe's last step; ``report`` is called after every step.

        Raises:
            ModelError: The loss became NaN or infinite; the batch is saved beside the checkpoint.
        """
        data, optim = self.recipe.data, self.recipe.optim
        chunks = max(1, data.frames // data.backprop)
        self.clips.start = self.step // chunks * data.batch
        loader = DataLoader(
            self.clips,
            batch_size=data.batch,
            num_workers=data.workers,
            prefetch_factor=4 if data.workers else None,
            persistent_workers=data.workers > 0,
        )
        batches = iter(loader)
        means: dict[str, float] = {}
        validation: dict[str, float] = {}
        seconds = 0.0
        while self.step < optim.steps:
            started = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - started
            for i in range(self.step % chunks, chunks):
                frames = slice(i * data.backprop, (i + 1) * data.backprop)
                losses, self._state = self._train_chunk(
                    {k: v[:, frames] for k, v in batch.items()}, self._state if i else None
                )
                self.step += 1
                for name, value in losses.items():
                    means[name] = means.get(name, value) * 0.98 + value * 0.02
                now = time.perf_counter()
                seconds = now - started if not seconds else 0.95 * seconds + 0.05 * (now - started)
                started = now
                if self.step % self.recipe.validate_every == 0 or self.step >= optim.steps:
                    validation = self._validate()
                    started = time.perf_counter()
                report(
                    Progress(
                        step=self.step,
                        steps=optim.steps,
                        losses=dict(means),
                        seconds_per_step=seconds,
                        waiting=waited,
                        validation=validation,
                        best=self.best,
                    )
                )
                if self.step >= optim.steps:
                    break

    def _train_chunk(
        self, batch: dict[str, Tensor], state: tuple[Tensor, ...] | None
    ) -> tuple[dict[str, float], tuple[Tensor, ...] | None]:
        """One optimiser step on T frames; returns the mean losses and the detached state."""
        recipe = self.recipe
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, recipe.optim)
        pictures = {k: batch[k].float().div_(255.0) for k in _PICTURES}
        length = batch["rainy"].shape[1]
        sums: dict[str, float] = {}
        loss = torch.zeros(())
        enabled = recipe.precision == "bf16"
        for t in range(length):
            rainy, clean, streaks, drops = (
                pictures[k][:, t].contiguous(memory_format=torch.channels_last) for k in _PICTURES
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                out: Derained = self.network(rainy, state)
            state = out.state
            terms = derained_losses(out, clean, streaks, drops, recipe.losses, rainy=rainy)
            loss = loss + total(terms) / length
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / length
        if not bool(torch.isfinite(loss)):
            save_checkpoint(self.folder / "nan-batch.ckpt", batch)
            raise ModelError(
                f"the loss became {float(loss.detach())} at step {self.step}; the batch is in "
                f"{self.folder / 'nan-batch.ckpt'}: lower optim.lr or optim.clip_norm"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.optim.clip_norm)
        self.optimizer.step()
        self._update_average()
        return sums, tuple(s.detach() for s in state) if state is not None else None

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.optim.ema, (1 + self.step) / (10 + self.step))
        averages: list[Tensor] = list(self.average.parameters())
        current: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averages, current, 1 - decay)

    def _validate(self) -> dict[str, float]:
        scores = self.validation(self.average)
        if scores["score"] > self.best:
            self.best = scores["score"]
            save_checkpoint(self.folder / "best.ckpt", {"network": self.average.state_dict()})
        self.save()
        record: dict[str, Any] = {"step": self.step, **scores}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        return scores
