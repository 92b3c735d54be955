"""Checkpoints of a training run: complete, and never half-written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from rainclear.errors import ModelError

__all__ = ["load_checkpoint", "save_checkpoint", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces ``path`` when it is complete: a kill leaves the old one."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``, all of it or nothing."""
    with whole_file(path) as file:
        torch.save(state, file)


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
