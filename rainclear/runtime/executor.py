"""Runs passive stages in threads of their own, with bounded queues between them.

A stage is a function from an iterator to an iterator. The executor alone owns threads: every wait
has a time-out and watches a stop event, an error in any stage reaches the caller as that error, and
when the caller leaves early, every thread ends.
"""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Self

from rainclear.errors import StageError
from rainclear.runtime.own_time import OwnTime

__all__ = ["Executor", "Sink", "Stage"]

Stage = Callable[[Iterator[Any]], Iterable[Any]]

_POLL = 0.1
_JOIN = 10.0


class _End:
    """Marks the end of a stream in a queue."""


class _Stopped(Exception):
    """Unwinds a stage whose pipeline was stopped."""


class _Link:
    """A bounded queue that gives up when the pipeline stops; counts the time spent waiting."""

    def __init__(self, depth: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = stop
        self.waited = 0.0

    def put(self, item: Any, watch: Callable[[], None] = lambda: None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL)
                return
            except queue.Full:
                watch()
        raise _Stopped

    def __iter__(self) -> Iterator[Any]:
        while True:
            started = time.perf_counter()
            item = self._get()
            self.waited += time.perf_counter() - started
            if isinstance(item, _End):
                return
            yield item

    def _get(self) -> Any:
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
        raise _Stopped


class Executor:
    """A source and stages, each in a thread; iterate over it to get the results in order.

    Use it as a context manager, so that leaving the block ends all threads.

    Args:
        source: Where items come from; iterated in a thread of its own.
        stages: Named functions from iterator to iterator, applied in order.
        depth: Items that wait between two stages at most.

    Example:
        >>> with Executor(reader, {"model": derainer.stream}) as results:
        ...     for frame in results:
        ...         writer.write(frame)
    """

    def __init__(self, source: Iterable[Any], stages: dict[str, Stage], *, depth: int = 4) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(("source", *stages), 0.0)
        self._own = dict.fromkeys(self._seconds, 0.0)
        self._threads: list[threading.Thread] = []
        upstream: _Link | None = None
        for name, stage in {"source": lambda _: source, **stages}.items():
            link = _Link(depth, self._stop)
            self._threads.append(
                threading.Thread(
                    target=self._work,
                    args=(name, stage, upstream, link),
                    name=f"rainclear-{name}",
                    daemon=True,
                )
            )
            upstream = link
        assert upstream is not None
        self._results = upstream

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that each stage worked, waiting not counted, by its name (``source`` first)."""
        return dict(self._seconds)

    @property
    def overhead(self) -> float:
        """Processor seconds of its threads outside of their stages, of those that have ended."""
        return sum(self._own.values())

    def __enter__(self) -> Self:
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # Ctrl-C between two of them, say
            self._stop.set()
            raise
        return self

    def __iter__(self) -> Iterator[Any]:
        """Yield the results in order; nothing more when repeated.

        Raises:
            Exception: Whatever a stage raised.
            StageError: The threads do not run, as this is not inside a ``with`` block.
        """
        if self._threads[0].ident is None:
            raise StageError("an Executor works inside a with block: with Executor(...) as results")
        with suppress(_Stopped):
            yield from self._results
            # A stage may end before its input does; those above it have nothing left to do.
            self._stop.set()
        if self._error is not None:
            raise self._error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        end = time.monotonic() + _JOIN
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck and kind is None:
            raise StageError(f"{', '.join(stuck)} did not end within {_JOIN:.0f} seconds")

    def _work(self, name: str, stage: Stage, upstream: _Link | None, out: _Link) -> None:
        own = OwnTime()
        try:
            self._drive(name, stage, upstream, out, own)
        except _Stopped:
            pass
        except BaseException as error:  # handed to the caller, whatever it is
            with self._lock:
                self._error = self._error or error
            self._stop.set()
        finally:
            self._own[name] = own.seconds

    def _drive(
        self, name: str, stage: Stage, upstream: _Link | None, out: _Link, own: OwnTime
    ) -> None:
        iterator = iter(stage(iter(upstream or ())))
        try:
            while True:
                started = time.perf_counter()
                waited = upstream.waited if upstream else 0.0
                with own.work():
                    item = next(iterator, _End())
                busy = time.perf_counter() - started
                self._seconds[name] += busy - ((upstream.waited - waited) if upstream else 0.0)
                out.put(item)
                if isinstance(item, _End):
                    return
        finally:
            if isinstance(iterator, Generator):
                iterator.close()


class Sink:
    """Hands items to a function that runs in a thread of its own, with a bounded queue before it.

    The counterpart of :class:`Executor` at the end of a pipeline: what lies between the two stays
    in the caller's thread. That is where a network belongs, since OpenMP keeps a team of threads
    for every thread that asks, and two teams on the same cores cost almost half of the speed.

    Leaving the ``with`` block waits until all items were consumed; leaving it by an exception drops
    those that wait.

    Args:
        consume: Called with each item, in order.
        depth: Items that wait at most.
        timeout: Seconds that ``consume`` may take for one item; ``None``: any time.

    Attributes:
        seconds: Wall time that ``consume`` took so far.
        overhead: Processor seconds of its thread outside of ``consume``, once it has ended.

    Raises:
        Exception: Whatever ``consume`` raised, from :meth:`put` or at the end of the block.
        StageError: It took longer than ``timeout``.
    """

    def __init__(
        self, consume: Callable[[Any], None], *, depth: int = 4, timeout: float | None = None
    ) -> None:
        self._consume, self._timeout = consume, timeout
        self._begun: float | None = None
        self._stop = threading.Event()
        self._link = _Link(depth, self._stop)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="rainclear-sink", daemon=True)
        self.seconds = self.overhead = 0.0

    def put(self, item: Any) -> None:
        """Queue an item; waits while the queue is full."""
        try:
            self._link.put(item, watch=self._watch)
        except _Stopped:
            self._raise()
            raise StageError("the sink was stopped") from None

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except BaseException:
            self._stop.set()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._end()
            return
        try:
            with suppress(_Stopped):
                self._link.put(_End(), watch=self._watch)
            while self._thread.is_alive():  # in steps, so that Ctrl-C is heard
                self._thread.join(_POLL)
                self._watch()
        except BaseException:
            self._end()
            raise
        self._raise()

    def _end(self) -> None:
        self._stop.set()
        self._thread.join(_JOIN)

    def _watch(self) -> None:
        begun = self._begun
        if self._timeout is None or begun is None:
            return
        if time.monotonic() - begun > self._timeout:
            # Its thread cannot be ended from outside; nothing is gained by waiting for it.
            self._stop.set()
            raise StageError(f"takes no more: nothing for {self._timeout:g} seconds")

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        own = OwnTime()
        try:
            for item in self._link:
                started = time.perf_counter()
                self._begun = time.monotonic()
                with own.work():
                    self._consume(item)
                self._begun = None
                self.seconds += time.perf_counter() - started
        except _Stopped:
            pass
        except BaseException as error:  # handed to the caller, whatever it is
            self._error = error
            self._stop.set()
        finally:
            self.overhead = own.seconds
