"""Training on dual-pixel halves: the masks alone first, then all of DPRRN, RAdam in steps."""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from rainclear.config import ArchitectureSpec, TrainingRecipe
from rainclear.data.dual_pixel import DualPixelPairs, water_mask
from rainclear.errors import ConfigError, ModelError
from rainclear.nn.dprrn import DPRRN
from rainclear.training import history
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint, save_step
from rainclear.training.dual_pixel_losses import image_losses, mask_losses, score_pairs
from rainclear.training.feed import feed
from rainclear.training.interrupt import Interrupt
from rainclear.training.not_a_number import broken_score, broken_step
from rainclear.training.pictures import explain_halves
from rainclear.training.progress import Picture, Progress
from rainclear.training.same_run import refuse_other_settings, run_settings
from rainclear.training.schedule import step_rate

__all__ = ["DualPixelTrainer"]


class DualPixelTrainer:
    """Trains a DPRRN by a recipe; everything it needs to go on later is in ``folder``.

    Args:
        network: The network, on its device.
        recipe: Data mix and schedule, with ``dual_pixel`` set.
        pairs: Source of training samples.
        held_out: Samples that score the averaged weights.
        folder: Where checkpoints, the log and the best weights go.
        architecture: Kept in the checkpoints beside the recipe; a run goes on with the same only.
    """

    def __init__(
        self,
        network: DPRRN,
        recipe: TrainingRecipe,
        pairs: DualPixelPairs,
        held_out: list[dict[str, Tensor]],
        folder: Path,
        architecture: ArchitectureSpec | None = None,
    ) -> None:
        if recipe.dual_pixel is None:
            raise ConfigError("the recipe has no section 'training.dual_pixel'")
        self.network = network.to(memory_format=torch.channels_last)
        self.recipe, self.dual, self.pairs = recipe, recipe.dual_pixel, pairs
        self.held_out, self.folder = held_out, folder
        self.settings = run_settings(recipe, architecture)
        self.device = next(network.parameters()).device
        self.optimizer = torch.optim.RAdam(network.parameters(), lr=recipe.optim.lr)
        self.average = copy.deepcopy(network).eval()
        self.step, self.best = 0, -math.inf
        self._scores: dict[str, float] = {}
        self._pictures: dict[str, Picture] = {}
        steps = recipe.optim.steps
        self.warmup = min(round(self.dual.warmup * steps), steps - 1)

    @property
    def warming_up(self) -> bool:
        """Whether the next step trains the masks alone."""
        return self.step < self.warmup

    def resume(self) -> None:
        """Go on from the newest checkpoint in the folder.

        Raises:
            ConfigError: The run was begun with other settings.
            ModelError: There is no checkpoint, or it is of another network.
        """
        path = self.folder / "last.ckpt"
        state = load_checkpoint(path)
        refuse_other_settings(path, state, self.settings)
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.best = state["step"], state["best"]
        except (KeyError, ValueError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            raise ModelError(f"{path} is not of this network: {line}") from error
        history.cut(self.folder / "log.jsonl", self.step)

    def save(self) -> None:
        """Write the newest checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
            "settings": self.settings,
        }
        save_step(self.folder, self.step, state, keep=self.recipe.keep_last)

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train until the recipe's last step; ``report`` is called after every step.

        Raises:
            ModelError: The loss, its gradient or a score became NaN or infinite; the batch, or the
                weights that were scored, are saved beside the checkpoint.
            KeyboardInterrupt: Ctrl-C, after the step was finished and saved.
        """
        data, steps = self.recipe.data, self.recipe.optim.steps
        batches = feed(
            self.pairs, start=self.step * data.batch, batch=data.batch, workers=data.workers
        )
        means: dict[str, float] = {}
        seconds = waiting = 0.0
        with Interrupt() as interrupt:
            while self.step < steps:
                started = time.perf_counter()
                batch = next(batches)
                waited = time.perf_counter() - started
                rate = step_rate(self.step, self.recipe.optim, self.dual)
                now = self.train_batch(batch)
                for name, value in now.items():
                    means[name] = means.get(name, value) * 0.98 + value * 0.02
                spent = time.perf_counter() - started
                seconds = 0.95 * seconds + 0.05 * spent if seconds else spent
                waiting = 0.95 * waiting + 0.05 * waited if waiting else waited
                validate = self.step % self.recipe.validate_every == 0 or self.step >= steps
                if validate:
                    self._validate()
                save = validate or interrupt.asked or self.step % self.recipe.save_every == 0
                report(
                    Progress(
                        step=self.step,
                        steps=steps,
                        losses=dict(means),
                        seconds_per_step=seconds,
                        waiting=waiting,
                        validation=self._scores,
                        best=self.best,
                        now=now,
                        lr=rate,
                        pictures=self._pictures,
                        saved=save,
                    )
                )
                stop = interrupt.asked
                if save or stop:  # after the logs: what they hold beyond it is done again
                    self.save()
                if stop:
                    raise KeyboardInterrupt

    def train_batch(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step on ``left``, ``right`` and ``clean``, N×3×H×W uint8; the losses."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = step_rate(self.step, self.recipe.optim, self.dual)
        terms = self._losses(*(batch[k].to(self.device) for k in ("left", "right", "clean")))
        loss = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise self._broken("the loss", float(loss.detach()), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters, clip = self.network.parameters(), self.recipe.optim.clip_norm
        norm = float(nn.utils.clip_grad_norm_(parameters, clip))
        if not math.isfinite(norm):  # which a finite loss may have
            raise self._broken("the gradient's norm", norm, batch)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    def _broken(self, what: str, value: float, batch: dict[str, Tensor]) -> ModelError:
        return broken_step(self.folder, what, value, step=self.step, batch=batch)

    def _losses(self, left: Tensor, right: Tensor, clean: Tensor) -> dict[str, Tensor]:
        masks = water_mask(left, clean), water_mask(right, clean)
        if self.network.single:  # the mean of the halves is wet wherever one of them is
            masks = (masks[0] | masks[1],) * 2
        x_l, x_r, truth = (
            t.float().div_(255).contiguous(memory_format=torch.channels_last)
            for t in (left, right, clean)
        )
        bf16 = self.recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            if self.warming_up:
                logits = self.network.mask_logits(x_l, x_r)
                return mask_losses(logits, masks, self.dual)
            out = self.network.halves(x_l, x_r)
        found = mask_losses((out.left_logits, out.right_logits), masks, self.dual)
        return found | image_losses(out, truth, self.dual)

    @torch.no_grad()
    def _update_average(self) -> None:
        """Average the weights and, with them, BatchNorm's statistics."""
        decay = min(self.recipe.optim.ema, (1 + self.step) / (10 + self.step))
        current = self.network.state_dict()
        for name, average in self.average.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], 1 - decay)
            else:
                average.copy_(current[name])

    def _validate(self) -> None:
        scores = score_pairs(self.average, self.held_out)
        if not math.isfinite(scores["output"]):
            weights = self.average.state_dict()
            raise broken_score(self.folder, scores["output"], step=self.step, network=weights)
        self._pictures = explain_halves(self.average, self.held_out[0])
        if self.step <= self.warmup:  # the other networks have not begun to learn
            scores = {"iou": scores["iou"]}
            del self._pictures["result"]
        elif scores["output"] > self.best:
            self.best = scores["output"]
            save_checkpoint(self.folder / "best.ckpt", {"network": self.average.state_dict()})
        history.append(self.folder / "log.jsonl", {"step": self.step, **scores})
        self._scores = scores
