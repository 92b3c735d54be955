"""Keeps what a run tells: ``losses.jsonl``, TensorBoard's events and ``report.html``."""

import math
from pathlib import Path
from types import TracebackType

import yaml

from rainclear.config import ModelSpec
from rainclear.training import history
from rainclear.training.board import open_board
from rainclear.training.progress import Picture, Progress
from rainclear.training.report import kept_pictures, write_report

__all__ = ["Monitor"]


class Monitor:
    """Takes every step's :class:`Progress`; a context manager that leaves a report behind.

    The report is written at each validation and at the end, also after Ctrl-C or an error, which a
    report that cannot be written then does not replace.

    Args:
        folder: Folder of the run.
        spec: The model, for the report.
        step: Step that the run goes on from; what the logs hold after it is dropped, and the
            report's pictures stay until the next validation.
        tensorboard: Write events to ``tensorboard``; ``None`` means "if it is installed".

    Raises:
        ConfigError: TensorBoard is wanted and not installed.
    """

    def __init__(
        self, folder: Path, spec: ModelSpec, *, step: int = 0, tensorboard: bool | None = None
    ) -> None:
        assert spec.training is not None
        self.folder, self.spec, self.recipe = folder, spec, spec.training
        self._board = open_board(folder / "tensorboard", step, tensorboard)
        self._sums: dict[str, float] = {}
        self._count = 0
        self._scores: dict[str, float] = {}
        self._pictures: dict[str, Picture] = {}
        self._kept = kept_pictures(folder) if step else []
        history.cut(folder / "losses.jsonl", step)

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            try:
                self.report()
            finally:
                if self._board is not None:
                    self._board.close()
        except Exception:
            if error is None:
                raise

    def __call__(self, progress: Progress) -> None:
        """Take note of a step."""
        losses = progress.now or progress.losses
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        last = progress.step >= progress.steps
        if last or progress.saved or progress.step % self.recipe.log_every == 0:
            self._write_losses(progress)
        if progress.validation and progress.validation is not self._scores:
            self._scores, self._pictures = progress.validation, progress.pictures
            if self._board is not None:
                self._board.scalars("validation", self._scores, progress.step)
                self._board.pictures(self._pictures, progress.step)
            self.report()

    def report(self) -> Path:
        """Write ``report.html``; returns its path."""
        recipe = self.spec.model_dump(mode="json", exclude_none=True, exclude={"weights"})
        return write_report(
            self.folder,
            title=self.spec.name,
            recipe=yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True),
            pictures=self._pictures,
            steps=self.recipe.steps,
            kept=self._kept,
        )

    def _write_losses(self, progress: Progress) -> None:
        """One line: the means over the steps since the line before."""
        means = {name: value / self._count for name, value in self._sums.items()}
        means = {"total": sum(means.values()), **means}
        rest = {
            "lr": progress.lr,
            "seconds_per_step": progress.seconds_per_step,
            "waiting": progress.waiting,
        }
        rest = {name: value for name, value in rest.items() if math.isfinite(value)}
        history.append(self.folder / "losses.jsonl", {"step": progress.step, **means, **rest})
        if self._board is not None:
            self._board.scalars("loss", means, progress.step)
            self._board.scalars("run", rest, progress.step)
        self._sums, self._count = {}, 0
