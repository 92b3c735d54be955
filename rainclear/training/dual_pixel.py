"""Training on dual-pixel halves: the masks alone first, then all of DPRRN, RAdam in steps."""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from rainclear.config import ArchitectureSpec, ModelSpec, TrainingRecipe
from rainclear.data.dual_pixel import DualPixelPairs, held_out_pairs, water_mask
from rainclear.data.scenes import load_scenes
from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.nn.dprrn import DPRRN
from rainclear.runtime.device import resolve_device
from rainclear.runtime.load import build_network
from rainclear.training import history
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint, save_step
from rainclear.training.dual_pixel_losses import image_losses, mask_losses, score_pairs
from rainclear.training.fabric import Accelerator
from rainclear.training.feed import feed
from rainclear.training.interrupt import Interrupt
from rainclear.training.progress import Progress
from rainclear.training.run import export_model, start_network
from rainclear.training.same_run import refuse_other_settings, run_settings
from rainclear.training.schedule import step_rate

__all__ = ["DualPixelTrainer", "train_dual_pixel"]

_VALIDATION_FRAMES = 60


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
        refuse_other_settings(path, state.get("settings"), self.settings)
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.best = state["step"], state["best"]
        except (KeyError, ValueError, RuntimeError) as error:
            line = str(error).splitlines()[0]
            raise ModelError(f"{path} is not of this network: {line}") from error

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
            ModelError: The loss became NaN or infinite; the batch is saved beside the checkpoint.
            KeyboardInterrupt: Ctrl-C, after the step was finished and saved.
        """
        data, steps = self.recipe.data, self.recipe.optim.steps
        batches = feed(
            self.pairs, start=self.step * data.batch, batch=data.batch, workers=data.workers
        )
        means: dict[str, float] = {}
        validation: dict[str, float] = {}
        seconds = 0.0
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
                validate = self.step % self.recipe.validate_every == 0 or self.step >= steps
                if validate:
                    validation = self._validate()
                save = validate or interrupt.asked or self.step % self.recipe.save_every == 0
                if save:
                    self.save()
                report(
                    Progress(
                        step=self.step,
                        steps=steps,
                        losses=dict(means),
                        seconds_per_step=seconds,
                        waiting=waited,
                        validation=validation,
                        best=self.best,
                        now=now,
                        lr=rate,
                        saved=save,
                    )
                )
                if interrupt.asked:
                    self.save()
                    raise KeyboardInterrupt

    def train_batch(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step on ``left``, ``right`` and ``clean``, N×3×H×W uint8; the losses."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = step_rate(self.step, self.recipe.optim, self.dual)
        terms = self._losses(*(batch[k].to(self.device) for k in ("left", "right", "clean")))
        loss = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(loss)):
            save_checkpoint(self.folder / "nan-batch.ckpt", batch)
            raise ModelError(
                f"the loss became {float(loss.detach())} at step {self.step}; the batch is in "
                f"{self.folder / 'nan-batch.ckpt'}: lower optim.lr or optim.clip_norm"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optim.clip_norm)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return {name: float(value.detach()) for name, value in terms.items()}

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

    def _validate(self) -> dict[str, float]:
        scores = score_pairs(self.average, self.held_out)
        if self.step <= self.warmup:  # the other networks have not begun to learn
            scores = {"iou": scores["iou"]}
        elif scores["output"] > self.best:
            self.best = scores["output"]
            save_checkpoint(self.folder / "best.ckpt", {"network": self.average.state_dict()})
        history.append(self.folder / "log.jsonl", {"step": self.step, **scores})
        return scores


def _check(recipe: TrainingRecipe) -> None:
    """Refuse settings that would be ignored.

    Raises:
        ConfigError: One is not at its default.
    """
    unused: tuple[tuple[str, BaseModel, tuple[str, ...]], ...] = (
        (
            "training",
            recipe,
            ("losses", "init", "channels_last", "log_every", "first_from", "only"),
        ),
        ("training.optim", recipe.optim, ("warmup", "final_lr", "accumulate")),
        ("training.data", recipe.data, ("frames", "backprop")),
    )
    for section, settings, names in unused:
        for name in names:
            if getattr(settings, name) != type(settings).model_fields[name].default:
                raise ConfigError(
                    f"{section}.{name} has no use with training.dual_pixel; leave it out"
                )


def train_dual_pixel(
    spec: ModelSpec,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
    accelerator: Accelerator = "auto",
) -> Path:
    """Train on generated dual-pixel halves, and leave a loadable model in ``out`` at the end.

    Args:
        spec: Network and recipe, from :func:`rainclear.training.run.read_recipe`.
        data: Folder that the recipe's patterns are relative to.
        out: Folder for checkpoints, ``log.jsonl`` and the finished model.
        resume: Go on from the newest checkpoint in ``out``.
        report: Called after every step.
        accelerator: Kind of device; ``auto`` takes a GPU if there is one. It trains on one alone.

    Returns:
        ``out``, which ``rainclear derain-dual --model`` takes.

    Raises:
        ConfigError: The recipe is not one for dual pixels, sets what has no use here, or is not
            the one that the run was begun with.
        DeviceError: This machine has no such device.
        InputError: Data is missing.
        OutputError: ``out`` cannot be made, or holds another run and ``resume`` is not set.
        ModelError: The loss became NaN, or there is no checkpoint of this network to resume.
        KeyboardInterrupt: Ctrl-C, after the step was finished and saved.
    """
    recipe = spec.training
    if recipe is None or recipe.dual_pixel is None:
        raise ConfigError(f"model {spec.name!r} has no section 'training.dual_pixel'")
    _check(recipe)
    if (out / "last.ckpt").exists() and not resume:
        raise OutputError(f"{out}: holds a training run; give --resume to go on, or another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    torch.manual_seed(recipe.optim.seed)
    network = build_network(spec.architecture)
    if not isinstance(network, DPRRN):
        raise ConfigError(
            f"network {spec.architecture.network!r} does not take dual-pixel halves; use 'dprrn'"
        )
    scenes = load_scenes(data, recipe.data.include, max_frames=recipe.data.max_frames)
    held_out = load_scenes(data, recipe.data.validation, max_frames=_VALIDATION_FRAMES)
    if recipe.start_from:
        start_network(network, recipe.start_from)
    pairs = DualPixelPairs(scenes, recipe.data, seed=recipe.optim.seed)
    network = network.to(resolve_device(accelerator))
    samples = held_out_pairs(held_out)
    trainer = DualPixelTrainer(network, recipe, pairs, samples, out, spec.architecture)
    if resume:
        trainer.resume()
    trainer.run(report)
    network.load_state_dict(load_checkpoint(out / "best.ckpt")["network"])
    return export_model(network.cpu(), spec, out)
