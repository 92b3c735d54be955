"""A whole training run on dual-pixel halves: recipe and data folder in, a model folder out."""

from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import BaseModel

from rainclear.config import ModelSpec, TrainingRecipe
from rainclear.data.dual_pixel import DualPixelPairs, held_out_pairs
from rainclear.data.scenes import load_scenes
from rainclear.errors import ConfigError, OutputError
from rainclear.nn.dprrn import DPRRN
from rainclear.runtime.device import resolve_device
from rainclear.runtime.load import build_network
from rainclear.training.checkpoint import load_best
from rainclear.training.dual_pixel import DualPixelTrainer
from rainclear.training.fabric import Accelerator
from rainclear.training.monitor import Monitor
from rainclear.training.progress import Progress
from rainclear.training.run import export_model, start_network

__all__ = ["train_dual_pixel"]

_VALIDATION_FRAMES = 60


def _check(recipe: TrainingRecipe) -> None:
    """Refuse settings that would be ignored.

    Raises:
        ConfigError: One is not at its default.
    """
    unused: tuple[tuple[str, BaseModel, tuple[str, ...]], ...] = (
        ("training", recipe, ("losses", "init", "channels_last", "first_from", "only")),
        ("training.optim", recipe.optim, ("warmup", "final_lr", "accumulate")),
        ("training.data", recipe.data, ("frames", "backprop", "joint_mask")),
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
    tensorboard: bool | None = None,
) -> Path:
    """Train on generated dual-pixel halves, and leave a loadable model in ``out`` at the end.

    Args:
        spec: Network and recipe, from :func:`rainclear.training.run.read_recipe`.
        data: Folder that the recipe's patterns are relative to.
        out: Folder for checkpoints, logs, ``report.html`` and the finished model.
        resume: Go on from the newest checkpoint in ``out``.
        report: Called after every step.
        accelerator: Kind of device; ``auto`` takes a GPU if there is one. It trains on one alone.
        tensorboard: Write TensorBoard's events to ``out/tensorboard``; ``None`` means "if it is
            installed".

    Returns:
        ``out``, which ``rainclear derain-dual --model`` takes.

    Raises:
        ConfigError: The recipe is not one for dual pixels, sets what has no use here, or is not
            the one that the run was begun with; or TensorBoard needs an extra.
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
    with Monitor(out, spec, step=trainer.step, tensorboard=tensorboard) as monitor:

        def tell(progress: Progress) -> None:
            monitor(progress)
            report(progress)

        trainer.run(tell)
    network.load_state_dict(load_best(out)["network"])
    return export_model(network.cpu(), spec, out)
