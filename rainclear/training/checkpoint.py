"""Checkpoints of a training run: complete, and never half-written."""

import os
from pathlib import Path
from typing import Any

import torch

from rainclear.errors import ModelError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside ``path`` and rename it: a kill leaves the old checkpoint whole."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours; tensors and plain values alone are accepted, never code.

    Raises:
        ModelError: The file is missing or is no checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"no checkpoint {path} to resume from") from error
    except Exception as error:
        raise ModelError(f"{path} is not a checkpoint of rainclear: {error}") from error
    return state
