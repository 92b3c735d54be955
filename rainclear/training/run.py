"""A whole training run: recipe and data folder in, a model folder out."""

import copy
import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save
from torch import nn

from rainclear.config import (
    ModelSpec,
    TrainingRecipe,
    WeightsSpec,
    load_yaml,
    parse,
    with_overrides,
)
from rainclear.data.rainy import RainyClips
from rainclear.data.scenes import load_scenes
from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.nn.reparam import fold_reparam
from rainclear.runtime.load import build_network, load_model
from rainclear.runtime.packing import pack_weights
from rainclear.training.checkpoint import load_best, whole_file
from rainclear.training.fabric import Accelerator, open_devices
from rainclear.training.init import initialise
from rainclear.training.monitor import Monitor
from rainclear.training.progress import Progress
from rainclear.training.trainer import Trainer
from rainclear.training.unveil import finished_rounds, fit_unveil
from rainclear.training.unveil_samples import unveil_of
from rainclear.training.validation import Validation
from rainclear.zoo import models_root

__all__ = ["export_model", "keep_first", "read_recipe", "start_network", "train_model"]

_VALIDATION_FRAMES = 60


def read_recipe(recipe: str, overrides: list[str]) -> ModelSpec:
    """The settings of a recipe file, or of a shipped model by name, with overrides applied.

    Overrides may leave ``training.`` out: ``optim.lr=2e-4``.

    Raises:
        ConfigError: There is no such recipe, or a key or value in it is not valid.
    """
    path = Path(recipe)
    if path.suffix not in (".yaml", ".yml"):
        path = models_root() / recipe / "model.yaml"
        if not path.is_file():
            raise ConfigError(
                f"no model named {recipe!r} to train; give a recipe file (.yaml) or one of: "
                + ", ".join(sorted(p.parent.name for p in models_root().glob("*/model.yaml")))
            )
    full = [_full_key(override) for override in overrides]
    spec = parse(ModelSpec, with_overrides(load_yaml(path), full), source=str(path))
    if spec.training is None:
        raise ConfigError(f"{path} has no section 'training'")
    return spec


def _full_key(override: str) -> str:
    first = override.partition("=")[0].partition(".")[0]
    short = first in TrainingRecipe.model_fields and first not in ModelSpec.model_fields
    return f"training.{override}" if short else override


def train_model(
    spec: ModelSpec,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
    accelerator: Accelerator = "auto",
    devices: int | None = None,
    nodes: int | None = None,
    tensorboard: bool | None = None,
) -> Path:
    """Train, keep checkpoints in ``out``, and leave a loadable model there at the end.

    With ``unveil.rounds`` the first process goes on alone after the last step, on the best weights.

    Args:
        spec: Network and recipe, from :func:`read_recipe`.
        data: Folder that the recipe's patterns are relative to.
        out: Folder for checkpoints, logs, ``report.html`` and the finished model.
        resume: Go on from the newest checkpoint in ``out``.
        report: Called after every step, in the first process alone.
        accelerator: Kind of device; ``auto`` takes GPUs if there are any.
        devices: Devices of this machine; see :func:`rainclear.training.fabric.open_devices`.
        nodes: Machines.
        tensorboard: Write TensorBoard's events to ``out/tensorboard``; ``None`` means "if it is
            installed".

    Returns:
        ``out``, which ``--model`` takes.

    Raises:
        ConfigError: The devices or TensorBoard need an extra, the batch cannot be shared, the
            network has no part that the recipe names, or the run was begun with other settings.
        DeviceError: This machine has no such devices.
        InputError: Data is missing.
        OutputError: ``out`` cannot be written, or holds another run and ``resume`` is not set.
        ModelError: The loss became NaN, or there is no checkpoint of this network to resume.
        KeyboardInterrupt: Ctrl-C, after the step was finished and saved; a round of ``unveil`` is
            done again.
    """
    recipe = spec.training
    if recipe is None:
        raise ConfigError(f"model {spec.name!r} has no training recipe")
    if (out / "last.ckpt").exists() and not resume:
        raise OutputError(f"{out}: holds a training run; give --resume to go on, or another --out")
    place = open_devices(accelerator=accelerator, devices=devices, nodes=nodes)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    torch.manual_seed(recipe.optim.seed)
    scenes = load_scenes(data, recipe.data.include, max_frames=recipe.data.max_frames)
    network = build_network(spec.architecture)
    if recipe.unveil.rounds:
        unveil_of(network)
    if recipe.init:
        initialise(network, recipe.init)
    if recipe.start_from:
        start_network(network, recipe.start_from)
    if recipe.first_from:
        keep_first(network, recipe.first_from)
    clips = RainyClips(scenes, recipe.data, seed=recipe.optim.seed)
    validation: Validation | None = None
    if place.rank == 0:
        held_out = load_scenes(data, recipe.data.validation, max_frames=_VALIDATION_FRAMES)
        validation = Validation(held_out, recipe.data)
    trainer = Trainer(
        network, recipe, clips, validation, out, devices=place, architecture=spec.architecture
    )
    if resume:
        trainer.resume()
    finished = _finished_rounds(trainer) if resume and place.rank == 0 else []
    with ExitStack() as stack:
        tell = report
        if place.rank == 0:
            begin = trainer.step + len(finished) * recipe.unveil.round_steps
            monitor = Monitor(out, spec, step=begin, tensorboard=tensorboard)
            stack.enter_context(monitor)

            def tell(progress: Progress) -> None:
                monitor(progress)
                report(progress)

        trainer.run(tell)
        if not trainer.step:
            trainer.save()  # there is nothing but this to go on from
        if place.rank == 0:
            if trainer.step:
                network.load_state_dict(load_best(out)["network"])
            if recipe.unveil.rounds:
                fit_unveil(
                    network,
                    clips,
                    recipe,
                    out,
                    step=_best_step(trainer),
                    last=trainer.step,
                    finished=finished,
                    validation=validation,
                    tell=tell,
                )
    if place.rank == 0:
        export_model(network.cpu(), spec, out)
    if not recipe.unveil.rounds:  # which take longer than processes wait for one another
        place.barrier()
    return out


def _best_step(trainer: Trainer) -> int:
    """Step of the best weights of a run."""
    if not trainer.step:
        return 0
    return int(load_best(trainer.folder)["step"])


def _finished_rounds(trainer: Trainer) -> list[dict[str, Any]]:
    """Rounds of ``unveil`` that were done on the weights that a resumed run would do them on."""
    if trainer.step < trainer.recipe.optim.steps:
        return []
    rounds = finished_rounds(trainer.folder, _best_step(trainer))
    return rounds[: trainer.recipe.unveil.rounds]


def start_network(network: nn.Module, name: str) -> None:
    """Fill a network in training form with the folded weights of a finished model.

    It may have an :class:`rainclear.nn.unveil.Unveil` that the model has not, which then begins
    with no effect.

    Args:
        network: The network, freshly built.
        name: Model by name or folder.

    Raises:
        ModelError: There is no such model, or it is another network.
    """
    weights = load_model(name).state_dict()
    try:
        missing, unexpected = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ModelError(f"training.start_from: {name!r} is another network: {error}") from error
    # Folding adds the branches to the kernel; where they begin at zero, nothing is missing.
    absent = [key for key in missing if not key.endswith((".point", ".edge"))]
    if unexpected or not all(key.startswith("unveil.") for key in absent):
        raise ModelError(f"training.start_from: the weights of {name!r} are of another network")


def keep_first(network: nn.Module, name: str) -> None:
    """Give the first network of a cascade the weights of a finished model, and keep them.

    Args:
        network: The cascade, freshly built.
        name: Model by name or folder.

    Raises:
        ConfigError: The network has no first network.
        ModelError: There is no such model, or it is another network.
    """
    first = getattr(network, "first", None)
    if not isinstance(first, nn.Module):
        raise ConfigError(
            "training.first_from: the network has no first network; set architecture.options.first"
        )
    try:
        first.load_state_dict(load_model(name).state_dict())
    except RuntimeError as error:
        raise ModelError(
            f"training.first_from: {name!r} is not what architecture.options.first describes: "
            f"{str(error).splitlines()[0]}"
        ) from error
    first.requires_grad_(False)


def export_model(network: nn.Module, spec: ModelSpec, out: Path) -> Path:
    """Write ``model.safetensors`` (folded for inference) and ``model.yaml`` with its checksum.

    Large kernels are packed where the recipe says so. The licence is left to whoever trained them,
    and a rain gate of other weights is left out.
    """
    folded = fold_reparam(copy.deepcopy(network).to(memory_format=torch.contiguous_format))
    tensors = folded.state_dict()
    if spec.training is not None and spec.training.pack:
        tensors = pack_weights(tensors)
    weights = save({name: t.contiguous() for name, t in tensors.items()})
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "model.safetensors") as file:
        file.write(weights)
    digest = hashlib.sha256(weights).hexdigest()
    gate = spec.gate if spec.gate is not None and spec.gate.weights_sha256 == digest else None
    described = spec.model_copy(update={"weights": WeightsSpec(sha256=digest), "gate": gate})
    data = described.model_dump(mode="json", exclude_none=True)
    with whole_file(out / "model.yaml") as file:
        file.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode())
    return out
