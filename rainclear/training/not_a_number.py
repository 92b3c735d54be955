"""What is kept and said when a training run meets values that are no numbers."""

from pathlib import Path
from typing import Any

from rainclear.errors import ModelError
from rainclear.training.checkpoint import save_checkpoint

__all__ = ["broken_score", "broken_step"]


def broken_step(
    folder: Path,
    what: str,
    value: float,
    *,
    step: int,
    batch: dict[str, Any] | None,
    name: str = "nan-batch.ckpt",
) -> ModelError:
    """The error of a loss or a gradient that is no number; its batch is saved.

    Args:
        folder: Folder of the run.
        what: What is no number, such as ``the loss``.
        value: NaN or an infinity.
        step: Steps done before.
        batch: What led to it; ``None`` if it is another process's.
        name: File for the batch.

    Raises:
        OutputError: The batch cannot be saved.
    """
    path = folder / name
    if batch is not None:
        save_checkpoint(path, {k: v.clone() for k, v in batch.items()})
    return ModelError(
        f"{what} became {value} at step {step}; the batch is in {path}: lower optim.lr or "
        f"optim.clip_norm, and {_onwards(folder)}"
    )


def broken_score(folder: Path, value: float, *, step: int, network: dict[str, Any]) -> ModelError:
    """The error of a validation whose score is no number; the averaged weights are saved.

    Args:
        folder: Folder of the run.
        value: NaN or an infinity.
        step: Steps done.
        network: The weights that were validated.

    Raises:
        OutputError: The weights cannot be saved.
    """
    path = folder / "nan-weights.ckpt"
    save_checkpoint(path, {"network": network, "step": step})
    return ModelError(
        f"the score of the validation became {value} at step {step}; the averaged weights are in "
        f"{path}: lower optim.lr or optim.clip_norm, and {_onwards(folder)}"
    )


def _onwards(folder: Path) -> str:
    if not (folder / "last.ckpt").exists():
        return "start again; the run has no checkpoint yet"
    return (
        "go on from the last checkpoint with --resume; if it happens again, copy an older "
        "step-*.ckpt over last.ckpt first"
    )
