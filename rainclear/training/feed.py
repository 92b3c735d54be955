"""Batches of indexed samples, the same for any number of processes and workers."""

import itertools
import signal
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

__all__ = ["Clips", "feed"]

Sample = dict[str, Tensor]


class Clips(Protocol):
    """A source of training samples, of which there is no end."""

    def sample(self, index: int) -> Sample:
        """Sample ``index``: the same whoever asks for it, and when."""


class _Indexed(Dataset[Sample]):
    def __init__(self, clips: Clips) -> None:
        self.clips = clips

    def __getitem__(self, index: int) -> Sample:
        return self.clips.sample(index)


class _Share(Sampler[list[int]]):
    """One process's part of every batch: of samples b to b + N the r-th of equal parts."""

    def __init__(self, start: int, batch: int, rank: int, world: int) -> None:
        self.start, self.batch, self.part = start, batch, batch // world
        self.offset = rank * self.part

    def __iter__(self) -> Iterator[list[int]]:
        for first in itertools.count(self.start + self.offset, self.batch):
            yield list(range(first, first + self.part))


def _leave_signals(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the workers go on until they are told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)


def feed(
    clips: Clips, *, start: int, batch: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[Sample]:
    """Batches for ever: sample ``start`` and those after it, each process its equal part.

    Args:
        clips: Source of the samples.
        start: Index of the first sample of the first batch.
        batch: Samples of a batch over all processes; a multiple of ``world``.
        rank: Number of this process.
        world: Number of processes.
        workers: Processes that make samples.
    """
    loader = DataLoader(
        _Indexed(clips),
        batch_sampler=_Share(start, batch, rank, world),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_leave_signals,
        pin_memory=torch.cuda.is_available(),
    )
    yield from loader
