"""What a thread costs besides the work that it is there for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["OwnTime"]


class OwnTime:
    """Processor time of the calling thread, less that of the work that it was there for.

    Work inside the ``with`` block of :meth:`work` does not count, nor do other threads.
    """

    def __init__(self) -> None:
        self._begun = time.thread_time()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Leave out what happens in the block."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self._begun += time.thread_time() - begun

    @property
    def seconds(self) -> float:
        """Seconds since it was made, from the thread that made it."""
        return time.thread_time() - self._begun
