"""A whole training run: recipe and data folder in, a model folder out."""

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from safetensors.torch import save
from torch import nn

from rainclear.config import ModelSpec, WeightsSpec, load_yaml, parse, with_overrides
from rainclear.data.rainy import RainyClips
from rainclear.data.scenes import load_scenes
from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.nn.reparam import fold_reparam
from rainclear.runtime.load import build_network, load_model
from rainclear.training.checkpoint import load_checkpoint, whole_file
from rainclear.training.trainer import Progress, Trainer
from rainclear.training.validation import Validation
from rainclear.zoo import models_root

__all__ = ["export_model", "read_recipe", "start_network", "train_model"]

_VALIDATION_FRAMES = 60


def read_recipe(recipe: str, overrides: list[str]) -> ModelSpec:
    """The settings of a recipe file, or of a shipped model by name, with overrides applied.

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
    spec = parse(ModelSpec, with_overrides(load_yaml(path), overrides), source=str(path))
    if spec.training is None:
        raise ConfigError(f"{path} has no section 'training'")
    return spec


def train_model(
    spec: ModelSpec,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Train, keep checkpoints in ``out``, and leave a loadable model there at the end.

    Args:
        spec: Network and recipe, from :func:`read_recipe`.
        data: Folder that the recipe's patterns are relative to.
        out: Folder for checkpoints, ``log.jsonl`` and the finished model.
        resume: Go on from the newest checkpoint in ``out``.
        report: Called after every step.

    Returns:
        ``out``, which ``--model`` takes.

    Raises:
        InputError: Data is missing.
        OutputError: ``out`` cannot be made, or holds another run and ``resume`` is not set.
        ModelError: The loss became NaN, or there is no checkpoint of this network to resume.
    """
    recipe = spec.training
    if recipe is None:
        raise ConfigError(f"model {spec.name!r} has no training recipe")
    if (out / "last.ckpt").exists() and not resume:
        raise OutputError(f"{out}: holds a training run; give --resume to go on, or another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    torch.manual_seed(recipe.optim.seed)
    scenes = load_scenes(data, recipe.data.include, max_frames=recipe.data.max_frames)
    held_out = load_scenes(data, recipe.data.validation, max_frames=_VALIDATION_FRAMES)
    network = build_network(spec.architecture)
    if recipe.start_from:
        start_network(network, recipe.start_from)
    clips = RainyClips(scenes, recipe.data, seed=recipe.optim.seed)
    trainer = Trainer(network, recipe, clips, Validation(held_out, recipe.data), out)
    if resume:
        trainer.resume()
    trainer.run(report)
    best = load_checkpoint(out / "best.ckpt")["network"]
    network.load_state_dict(best)
    return export_model(network, spec, out)


def start_network(network: nn.Module, name: str) -> None:
    """Fill a network in training form with the folded weights of a finished model.

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
    if unexpected or not all(key.endswith((".point", ".edge")) for key in missing):
        raise ModelError(f"training.start_from: the weights of {name!r} are of another network")


def export_model(network: nn.Module, spec: ModelSpec, out: Path) -> Path:
    """Write ``model.safetensors`` (folded for inference) and ``model.yaml`` with its checksum."""
    folded = fold_reparam(copy.deepcopy(network).to(memory_format=torch.contiguous_format))
    weights = save({name: t.contiguous() for name, t in folded.state_dict().items()})
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "model.safetensors") as file:
        file.write(weights)
    described = WeightsSpec(sha256=hashlib.sha256(weights).hexdigest(), licence="Apache-2.0")
    data = spec.model_copy(update={"weights": described}).model_dump(mode="json", exclude_none=True)
    with whole_file(out / "model.yaml") as file:
        file.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode())
    return out
