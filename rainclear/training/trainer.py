"""The training loop: clips in, losses by name out, validated weights kept."""

import copy
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.config import ArchitectureSpec, TrainingRecipe
from rainclear.errors import ConfigError, ModelError
from rainclear.training import history
from rainclear.training.average import update_average
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint, save_step
from rainclear.training.chunk import Chunk, State
from rainclear.training.fabric import Devices, OneDevice
from rainclear.training.feed import Clips, feed
from rainclear.training.init import keep_all_but
from rainclear.training.interrupt import Interrupt
from rainclear.training.not_a_number import broken_score, broken_step
from rainclear.training.pictures import explain
from rainclear.training.progress import Picture, Progress
from rainclear.training.rng import restore_rng, rng_state
from rainclear.training.same_run import refuse_other_settings, run_settings
from rainclear.training.schedule import learning_rate
from rainclear.training.scorer import Scorer

__all__ = ["Progress", "Trainer"]


class Trainer:
    """Trains one network by a recipe; everything it needs to go on later is in ``folder``.

    With several processes, each has its own ``Trainer`` and its part of every batch; the first one
    validates and writes.

    Args:
        network: The network, in training form.
        recipe: Data mix, losses, schedule.
        clips: Source of training samples.
        validation: Scores the averaged weights; only the first process needs one.
        folder: Where checkpoints, the log and the best weights go.
        devices: Where it runs; the CPU of this process by default.
        architecture: Kept in the checkpoints beside the recipe; a run goes on with the same only.

    Raises:
        ConfigError: The batch cannot be shared out equally, or the network has no such part.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: TrainingRecipe,
        clips: Clips,
        validation: Scorer | None,
        folder: Path,
        *,
        devices: Devices | None = None,
        architecture: ArchitectureSpec | None = None,
    ) -> None:
        self.devices: Devices = devices or OneDevice()
        self._part, rest = divmod(recipe.data.batch, self.devices.world)
        if rest or self._part % recipe.optim.accumulate:
            raise ConfigError(
                f"training.data.batch={recipe.data.batch} cannot be shared by "
                f"{self.devices.world} devices in {recipe.optim.accumulate} parts each "
                "(training.optim.accumulate)"
            )
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.network = network.to(self.devices.device).to(memory_format=layout)
        self.recipe, self.clips, self.validation, self.folder = recipe, clips, validation, folder
        self.settings = run_settings(recipe, architecture)
        learning = keep_all_but(network, recipe.only)
        self.optimizer = torch.optim.Adam(learning, lr=recipe.optim.lr)
        self.average = copy.deepcopy(network).eval()
        self._chunk = self.devices.wrap(Chunk(self.network, recipe))
        self._chunks = max(1, recipe.data.frames // recipe.data.backprop)
        self.step, self.best = 0, -math.inf
        self.sample, self.part = 0, 0  # first sample of the present batch, chunk within its clips
        self._state: State = None  # carried to the next chunk of the clips
        self._scores: dict[str, float] = {}
        self._pictures: dict[str, Picture] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint of the run."""
        return self.folder / "last.ckpt"

    def resume(self) -> None:
        """Go on from the newest checkpoint in the folder, in the middle of a clip if need be.

        The number of devices may be another one. A checkpoint of an older version does not hold
        its settings; where batch or clips have another size, that run goes on with the next clips.

        Raises:
            ConfigError: The run was begun with other settings.
            ModelError: There is no checkpoint, or it is of another network.
        """
        saved, data, rank = load_checkpoint(self.checkpoint), self.recipe.data, self.devices.rank
        refuse_other_settings(self.checkpoint, saved, self.settings)
        try:
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.best = saved["step"], saved["best"]
        except (KeyError, ValueError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            raise ModelError(f"{self.checkpoint} is not of this network: {line}") from error
        shape = [data.batch, data.frames, data.backprop]
        self.sample = saved.get("sample", self.step // self._chunks * data.batch)
        self.part = saved.get("part", self.step % self._chunks)
        if saved.get("shape", shape) != shape and self.part:
            self.sample, self.part = self.sample + saved["shape"][0], 0
        state, first = saved.get("state"), rank * self._part
        self._state = None
        if state is not None and self.part:
            self._state = tuple(
                s[first : first + self._part].to(self.devices.device) for s in state
            )
        if rng := saved.get("rng"):
            restore_rng(rng[rank % len(rng)])
        if rank == 0:
            history.cut(self.folder / "log.jsonl", self.step)
        self.devices.barrier()
        if saved.get("settings") != self.settings:
            self.save()

    def save(self) -> None:
        """Write the newest checkpoint; every process has to call it.

        Raises:
            OutputError: It cannot be written, as on a full disk; the one before it stays.
        """
        state = self._state
        if state is not None and self.devices.world > 1:
            state = tuple(self.devices.gather(s).flatten(0, 1) for s in state)
        rng = self.devices.gather(rng_state()).cpu()
        if self.devices.rank > 0:
            return
        saved = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,  # the schedule follows from it
            "best": self.best,
            "sample": self.sample,
            "part": self.part,
            "shape": [self.recipe.data.batch, self.recipe.data.frames, self.recipe.data.backprop],
            "state": state,
            "rng": list(rng),
            "settings": self.settings,
        }
        save_step(self.folder, self.step, saved, keep=self.recipe.keep_last)

    def run(self, report: Callable[[Progress], None] = lambda progress: None) -> None:
        """Train until the recipe's last step; ``report`` is called after every step.

        Ctrl-C finishes the step and writes a checkpoint first.

        Raises:
            ModelError: The loss, its gradient or a score became NaN or infinite; the batch, or the
                weights that were scored, are saved beside the checkpoint.
            OutputError: A checkpoint could not be written.
            KeyboardInterrupt: Ctrl-C, or the same in another process.
        """
        recipe, data = self.recipe, self.recipe.data
        means: dict[str, float] = {}
        seconds = waiting = 0.0
        with ExitStack() as stack:
            interrupt = stack.enter_context(Interrupt())
            batches = feed(
                self.clips,
                start=self.sample,
                batch=data.batch,
                rank=self.devices.rank,
                world=self.devices.world,
                workers=data.workers,
            )
            stack.callback(batches.close)  # type: ignore[attr-defined]
            batch: dict[str, Tensor] = {}
            while self.step < recipe.optim.steps:
                started = time.perf_counter()
                if not batch or not self.part:
                    batch = next(batches)
                waited = time.perf_counter() - started
                frames = slice(self.part * data.backprop, (self.part + 1) * data.backprop)
                losses, stop = self._train({k: v[:, frames] for k, v in batch.items()}, interrupt)
                spent = time.perf_counter() - started
                seconds = 0.95 * seconds + 0.05 * spent if seconds else spent
                waiting = 0.95 * waiting + 0.05 * waited if waiting else waited
                for name, value in losses.items():
                    means[name] = means.get(name, value) * 0.98 + value * 0.02
                saving = self._due(stop)
                if self.devices.rank == 0:
                    report(
                        Progress(
                            step=self.step,
                            steps=recipe.optim.steps,
                            losses=dict(means),
                            seconds_per_step=seconds,
                            waiting=waiting,
                            validation=self._scores,
                            best=self.best,
                            now=losses,
                            lr=learning_rate(self.step - 1, recipe.optim),
                            pictures=self._pictures,
                            saved=saving,
                        )
                    )
                if saving:  # after the logs: what they hold beyond a checkpoint is done again
                    self.save()
                if stop and self.step < recipe.optim.steps:
                    raise KeyboardInterrupt

    def _train(
        self, batch: dict[str, Tensor], interrupt: Interrupt
    ) -> tuple[dict[str, float], bool]:
        """One step; returns the losses by name and whether any process was asked to stop."""
        terms, loss, self._state = self._gradient(batch, self._state if self.part else None)
        told = torch.stack([*terms.values(), loss, torch.full_like(loss, interrupt.asked)])
        *values, mean, asked = self.devices.mean(told).tolist()
        if not math.isfinite(mean):
            own = not math.isfinite(float(loss))
            raise self._broken("the loss", mean, batch if own else None)
        parameters, clip = self.network.parameters(), self.recipe.optim.clip_norm
        norm = float(nn.utils.clip_grad_norm_(parameters, clip))
        if not math.isfinite(norm):  # which a finite loss may have
            raise self._broken("the gradient's norm", norm, batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.recipe.optim)
        self.optimizer.step()
        update_average(self.average, self.network, step=self.step, ema=self.recipe.optim.ema)
        self.step += 1
        self.part = (self.part + 1) % self._chunks
        if not self.part:
            self.sample += self.recipe.data.batch
            self._state = None
        return dict(zip(terms, values, strict=True)), asked > 0

    def _gradient(
        self, batch: dict[str, Tensor], state: State
    ) -> tuple[dict[str, Tensor], Tensor, State]:
        """Leave the gradient of this process's part of a batch; its losses and its new state."""
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.recipe.optim.accumulate
        size = len(batch["rainy"]) // parts
        sums: dict[str, Tensor] = {}
        whole = torch.zeros((), device=self.devices.device)
        states: list[tuple[Tensor, ...]] = []
        for i in range(parts):
            own = slice(i * size, (i + 1) * size)
            pictures = {
                k: v[own].to(self.devices.device, non_blocking=True) for k, v in batch.items()
            }
            before = None if state is None else tuple(s[own] for s in state)
            with self.devices.local(self._chunk, enabled=i < parts - 1):
                loss, terms, after = self._chunk(pictures, before)
                self.devices.backward(loss / parts)
            whole = whole + loss.detach() / parts
            for name, value in terms.items():
                sums[name] = sums[name] + value / parts if name in sums else value / parts
            if after is not None:
                states.append(after)
        if len(states) <= 1:
            return sums, whole, states[0] if states else None
        return sums, whole, tuple(torch.cat(s) for s in zip(*states, strict=True))

    def _broken(self, what: str, value: float, batch: dict[str, Tensor] | None) -> ModelError:
        rank = f"-{self.devices.rank}" if self.devices.world > 1 else ""
        name = f"nan-batch{rank}.ckpt"
        return broken_step(self.folder, what, value, step=self.step, batch=batch, name=name)

    def _due(self, stop: bool) -> bool:
        """Validate if it is time to; whether a checkpoint has to be written."""
        done = self.step >= self.recipe.optim.steps
        validate = done or self.step % self.recipe.validate_every == 0
        if validate and self.validation is not None and self.devices.rank == 0:
            self._validate(self.validation)
        return validate or stop or self.step % self.recipe.save_every == 0

    def _validate(self, validation: Scorer) -> None:
        self._scores = scores = validation(self.average)
        if not math.isfinite(scores["score"]):
            weights = self.average.state_dict()
            raise broken_score(self.folder, scores["score"], step=self.step, network=weights)
        if validation.example is not None:
            self._pictures = explain(self.average, validation.example)
        if scores["score"] > self.best:
            self.best = scores["score"]
            best: dict[str, Any] = {"network": self.average.state_dict(), "step": self.step}
            save_checkpoint(self.folder / "best.ckpt", best | {"scores": scores})
        history.append(self.folder / "log.jsonl", {"step": self.step, **scores})
