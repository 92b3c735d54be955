"""Several devices: a worker for each, which takes the next piece of work as soon as it is free.

A stream's frames depend on each other, so one stream stays on one device; files and cameras spread.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Generic, TypeVar

import torch

from rainclear.errors import RainclearError, StageError

__all__ = ["all_devices", "on_devices"]

T = TypeVar("T")
R = TypeVar("R")

_POLL = 0.1
_JOIN = 10.0


def all_devices() -> list[str]:
    """``cuda:0``, ``cuda:1``, ... of this machine, ``cpu`` if there is none."""
    return [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]


def on_devices(
    items: Iterable[T],
    make: Callable[[str], Callable[[T], R]],
    *,
    devices: Sequence[str] | None = None,
) -> Generator[tuple[T, R | RainclearError], None, None]:
    """Work on all items, each on one device, as many at a time as there are devices.

    Args:
        items: Files, say.
        make: Called with a device in its worker's thread; loads a model there, say, and returns
            what is called with each item that the worker takes.
        devices: Names; one may occur twice for two workers on it. By default all GPUs.

    Yields:
        Each item with its result, or with the :class:`rainclear.errors.RainclearError` that it
        ended in, in the order in which they are done.

    Raises:
        StageError: A worker does not end.
        Exception: Any other error of a worker. It ends the others after their current item, and
            so does leaving the iteration early.

    Example:
        >>> def make(device):
        ...     derainer = rainclear.Derainer("d-daiam-rt", device=device)
        ...     return lambda file: derain_video(file, out / file.name, derainer=derainer)
        >>> for file, report in on_devices(files, make):
        ...     print(file, report)
    """
    names = list(devices) if devices is not None else all_devices()
    if not names:
        raise ValueError("at least one device is needed")
    team = _Team(list(items), make)
    threads = [
        threading.Thread(target=team.work, args=(name,), name=f"rainclear-{name}", daemon=True)
        for name in names
    ]
    try:
        for thread in threads:
            thread.start()
        yield from team.results()
    finally:
        team.stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join(_JOIN)
    if stuck := [thread.name for thread in threads if thread.is_alive()]:
        raise StageError(f"{', '.join(stuck)} did not end within {_JOIN:.0f} seconds")


class _Team(Generic[T, R]):
    """What the workers share."""

    def __init__(self, items: list[T], make: Callable[[str], Callable[[T], R]]) -> None:
        self._make = make
        self._left: queue.SimpleQueue[T] = queue.SimpleQueue()
        for item in items:
            self._left.put(item)
        self._count = len(items)
        self._done: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self.stop = threading.Event()

    def work(self, device: str) -> None:
        """One worker's life."""
        try:
            run: Callable[[T], R] | None = None
            while not self.stop.is_set():
                try:
                    item = self._left.get_nowait()
                except queue.Empty:
                    return
                # Made for the first item, so that an idle device loads nothing.
                run = run or self._make(device)
                try:
                    self._done.put((item, run(item)))
                except RainclearError as error:
                    self._done.put((item, error))
        except BaseException as error:  # handed to the caller, whatever it is
            self._error = self._error or error
            self.stop.set()

    def results(self) -> Generator[tuple[T, R | RainclearError], None, None]:
        """What is done, until all is."""
        for _ in range(self._count):
            while True:
                try:
                    yield self._done.get(timeout=_POLL)
                    break
                except queue.Empty:
                    if self._error is not None:
                        raise self._error from None
