"""Checkpoints of a training run: complete, and never half-written."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from rainclear.errors import ModelError, OutputError

__all__ = ["load_best", "load_checkpoint", "save_checkpoint", "save_step", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces ``path`` when it is complete: a kill leaves the old one.

    Raises:
        OutputError: It cannot be written, as on a full disk; what ``path`` held stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(
                f"{path}: cannot be written: {error.strerror or error}; what was there before is "
                "untouched"
            ) from error
        raise


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``, all of it or nothing.

    Raises:
        OutputError: It cannot be written; the checkpoint before it stays.
    """
    # In memory first: PyTorch's own writer turns a full disk into an error without its reason.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with whole_file(path) as file:
        file.write(buffer.getbuffer())


def save_step(folder: Path, step: int, state: dict[str, Any], *, keep: int) -> Path:
    """Write ``step-<number>.ckpt`` and make it ``last.ckpt``; of all steps the newest few stay.

    Args:
        folder: Folder of the run.
        step: Number of the step.
        state: What to write.
        keep: How many stay, this one included.

    Raises:
        OutputError: It cannot be written; ``last.ckpt`` is then the one before.
    """
    path, last = folder / f"step-{step:08d}.ckpt", folder / "last.ckpt"
    save_checkpoint(path, state)
    link = folder / ".last.ckpt.link"
    try:
        link.unlink(missing_ok=True)
        try:
            os.link(path, link)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, link)
        link.replace(last)
        for old in sorted(folder.glob("step-*.ckpt"))[:-keep]:
            old.unlink()
    except OSError as error:
        raise OutputError(f"{last}: cannot be written: {error.strerror or error}") from error
    return path


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


def load_best(folder: Path) -> dict[str, Any]:
    """Read ``best.ckpt`` of a run.

    Raises:
        ModelError: The run kept no weights, or the file is no checkpoint.
    """
    path = folder / "best.ckpt"
    if not path.exists():
        raise ModelError(
            f"{path} is missing, as no validation of this run has given a number yet: go on with "
            "--resume and more optim.steps"
        )
    return load_checkpoint(path)
