"""Is a resumed run the one that was begun? Its settings are kept in every checkpoint."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rainclear.config import ArchitectureSpec, TrainingRecipe
from rainclear.errors import ConfigError

__all__ = ["refuse_other_settings", "run_settings"]

_FREE = {
    "optim.steps",
    "optim.accumulate",  # goes with the devices; the step is the same
    "data.workers",
    "validate_every",
    "save_every",
    "keep_last",
    "log_every",
    "pack",  # how the finished weights are written
    "unveil.rounds",
}
_AFTER_NAN = {"optim.lr", "optim.final_lr", "optim.clip_norm"}


def run_settings(recipe: TrainingRecipe, architecture: ArchitectureSpec | None) -> dict[str, Any]:
    """What a checkpoint keeps of a run's settings, as plain values."""
    settings: dict[str, Any] = {"training": recipe.model_dump(mode="json")}
    if architecture is not None:
        settings["architecture"] = architecture.model_dump(mode="json")
    return settings


def refuse_other_settings(checkpoint: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Let a run go on with the settings that it was begun with.

    Free are the number of steps and rounds, what only says when and how something is written, and
    what goes with the machine; ``unveil`` as long as it has no finished round; after a loss, a
    gradient or a score that was no number, the learning rate and the longest gradient.

    Args:
        checkpoint: The file that the run goes on from.
        saved: What it holds, with ``settings`` from :func:`run_settings`; those of older versions
            have none, and go on with any.
        now: Settings of this command.

    Raises:
        ConfigError: Others differ; each is named with both values.
    """
    folder = checkpoint.parent
    free = set(_FREE)
    if _stopped_at_nan(checkpoint, saved.get("step", -1)):
        free |= _AFTER_NAN
    others = []
    for name, old, new in _differences(saved.get("settings") or {}, now):
        short = name.removeprefix("training.")
        if short in free or (
            short.startswith("unveil.") and not (folder / "unveil-1.ckpt").exists()
        ):
            continue
        others.append(f"{short}={_text(old)} (now {_text(new)})")
    if others:
        raise ConfigError(
            f"{folder}: the run was begun with {', '.join(others)}; to go on with it, give the "
            "recipe and the --set of the first command; for other settings, another --out"
        )


def _stopped_at_nan(checkpoint: Path, step: int) -> bool:
    """Whether a batch or weights were kept for what they led to after this checkpoint.

    A copy of an older one is as old as the file of its step.
    """
    folder = checkpoint.parent
    same = [path for path in (checkpoint, folder / f"step-{step:08d}.ckpt") if path.exists()]
    written = min(path.stat().st_mtime_ns for path in same)
    return any(path.stat().st_mtime_ns >= written for path in folder.glob("nan-*.ckpt"))


def _differences(
    before: dict[str, Any], now: dict[str, Any], section: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Names with both values; a setting that one version of rainclear does not know is left out."""
    for key, new in now.items():
        if key not in before:
            continue
        name, old = section + key, before[key]
        if isinstance(old, dict) and isinstance(new, dict) and name != "architecture.options":
            yield from _differences(old, new, f"{name}.")
        elif old != new:
            yield name, old, new


def _text(value: Any) -> str:
    """A value as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
