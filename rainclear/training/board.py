"""Scalars and pictures for TensorBoard, where it is installed."""

import importlib.util
from pathlib import Path
from typing import Any

from rainclear.errors import ConfigError
from rainclear.training.progress import Picture

__all__ = ["Board", "open_board"]


class Board:
    """Writes one run's events.

    Args:
        folder: Where they go.
        step: Step that the run goes on from; events after it are hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, group: str, values: dict[str, float], step: int) -> None:
        """Add values by name."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def pictures(self, pictures: dict[str, Picture], step: int) -> None:
        """Add pictures by caption."""
        for caption, picture in pictures.items():
            self._writer.add_image(caption.replace(": ", "/"), picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def open_board(folder: Path, step: int, wanted: bool | None) -> Board | None:
    """A board, or ``None`` if it is not wanted; ``wanted=None`` means "if it is installed".

    Raises:
        ConfigError: It is wanted and not installed.
    """
    if wanted is False:
        return None
    if importlib.util.find_spec("tensorboard") is None:
        if wanted:
            raise ConfigError("TensorBoard is not installed: pip install 'rainclear[train]'")
        return None
    return Board(folder, step)
