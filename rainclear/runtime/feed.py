"""Frames of a source that may be slow, fast, stuck or gone: a reader thread that hangs nobody."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Literal, Self, get_args

from rainclear.errors import InputError, RainclearError, StageError
from rainclear.frame import Frame
from rainclear.runtime.reconnect import Backoff, FeedCounts, Stopwatch
from rainclear.video.live import Capture

__all__ = ["Backoff", "FeedCounts", "LiveFeed", "Policy"]

Policy = Literal["block", "drop-oldest"]
"""What happens when frames come faster than they are fetched: the source waits, or old ones go."""

_POLL = 0.05


class LiveFeed:
    """Iterates over the frames of a source that is read in a thread of its own.

    Each frame gets ``metadata["captured"]``, its arrival by ``time.monotonic``, and a number in
    ``index`` that counts all captured frames, so that gaps show drops. After a reconnection, time
    stamps go on where the clock is: within a connection frames keep their distances.

    A reader that gives nothing for ``timeout`` seconds is left behind (a thread cannot be ended
    from outside) and a new one connects; what an old one still delivers is thrown away.

    Args:
        connect: Opens a new connection; called in the reader's thread.
        policy: ``block`` or ``drop-oldest``.
        depth: Frames that wait at most.
        timeout: Seconds without a frame after which a reader counts as dead.
        reconnect: Whether the end of a connection is a loss; if not, it ends the iteration.
        give_up: Seconds without a frame after which the source is lost for good; ``None``: never.
        backoff: Pauses between attempts.
        max_stuck: Readers left behind at most, so that a broken driver does not pile up threads.

    Raises:
        InputError: The first connection failed, or a source that does not reconnect did.
        StageError: The source was away longer than ``give_up``, or too many readers were stuck.

    Example:
        >>> with LiveFeed(lambda: open_capture("rtsp://camera/front")) as feed:
        ...     for frame in derainer.stream(feed):
        ...         show(frame)
    """

    def __init__(
        self,
        connect: Callable[[], Capture],
        *,
        policy: Policy = "drop-oldest",
        depth: int = 2,
        timeout: float = 10.0,
        reconnect: bool = True,
        give_up: float | None = 60.0,
        backoff: Backoff | None = None,
        max_stuck: int = 4,
    ) -> None:
        if policy not in get_args(Policy):
            raise InputError(
                f"unknown policy {policy!r}; use one of: {', '.join(get_args(Policy))}"
            )
        if depth < 1:
            raise ValueError(f"depth must be at least 1, not {depth}")
        self._connect, self._policy, self._depth = connect, policy, depth
        self._timeout, self._reconnect, self._give_up = timeout, reconnect, give_up
        self._backoff, self._max_stuck = backoff or Backoff(), max_stuck
        self.counts = FeedCounts()
        self._changed = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._generation = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._capture: Capture | None = None
        self._thread: threading.Thread | None = None
        self._seen = 0.0
        self._alive = 0.0
        self._stopwatch = Stopwatch()

    def __enter__(self) -> Self:
        self._seen = time.monotonic()
        try:
            self._start()
        except BaseException:  # Ctrl-C while the thread starts
            self._stopped = True
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            capture = self._capture
        if capture is not None:
            capture.cancel()
        if self._thread is not None:
            # A reader that is stuck stays behind as a daemon.
            self._thread.join(self._timeout + 1.0)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the source ends or is lost."""
        if self._thread is None:
            raise StageError("a LiveFeed works inside a with block: with LiveFeed(...) as feed")
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        with self._changed:
            while True:
                if self._frames:
                    self._changed.notify_all()
                    return self._frames.popleft()
                if self._error is not None:
                    raise self._error
                if self._ended or self._stopped:
                    return None
                self._look_after()
                self._changed.wait(_POLL)

    def _look_after(self) -> None:
        """Leave a reader behind that no longer answers; give up in the end."""
        now = time.monotonic()
        if self._give_up is not None and now - self._seen > self._give_up:
            raise StageError(
                f"no frame for {self._give_up:g} seconds"
                + (f"; the last error was: {self.counts.last_error}" if self._lost else "")
            )
        if now - self._alive <= self._timeout:
            return
        self.counts.stuck += 1
        self.counts.last_error = f"no frame for {self._timeout:g} seconds"
        if not self._reconnect or self.counts.stuck > self._max_stuck:
            raise StageError(
                f"the source gave no frame for {self._timeout:g} seconds"
                + (f", {self.counts.stuck} times" if self._reconnect else "")
            )
        if self._capture is not None:
            self._capture.cancel()
        self._start()

    @property
    def _lost(self) -> bool:
        return self.counts.last_error is not None

    def _start(self) -> None:
        self._generation += 1
        self._capture = None
        self._alive = time.monotonic()
        self._thread = threading.Thread(
            target=self._read, args=(self._generation,), name="rainclear-feed", daemon=True
        )
        self._thread.start()

    def _read(self, generation: int) -> None:
        attempt = 0
        while self._is_current(generation):
            before = self.counts.captured
            try:
                capture = self._connect()
            except BaseException as error:
                if self._failed(generation, error):
                    return
            else:
                if self._deliver(generation, capture):
                    return
            attempt = 0 if self.counts.captured > before else attempt + 1
            self._pause(generation, self._backoff.wait(attempt))

    def _deliver(self, generation: int, capture: Capture) -> bool:
        """Pass on the frames of one connection; returns whether the reader is done."""
        try:
            with self._changed:
                if not self._is_current(generation):
                    return True
                self._capture = capture
            shift, fresh = None, True
            for frame in capture:
                if fresh:
                    self.counts.reconnects += self.counts.captured > 0
                    fresh = False
                # Network streams may begin with frames that have no time stamp yet.
                if shift is None:
                    shift = self._stopwatch.shift_of(frame)
                if not self._put(generation, frame, shift):
                    return True
        except BaseException as error:
            return self._failed(generation, error)
        finally:
            with suppress(Exception):
                capture.close()
        if self._reconnect:
            return self._failed(generation, InputError("the source ended the connection"))
        with self._changed:
            if self._is_current(generation):
                self._ended = True
                self._changed.notify_all()
        return True

    def _put(self, generation: int, frame: Frame, shift: Fraction | None) -> bool:
        now = time.monotonic()
        with self._changed:
            if not self._is_current(generation):
                return False
            self._alive = self._seen = now
            frame = replace(
                frame,
                pts=self._stopwatch.shifted(frame, shift),
                index=self.counts.captured,
                metadata={**frame.metadata, "captured": now},
            )
            self.counts.captured += 1
            if self._policy == "block":
                while len(self._frames) >= self._depth:
                    self._changed.wait(_POLL)
                    # Waiting for the consumer is no fault of the reader.
                    self._alive = self._seen = time.monotonic()
                    if not self._is_current(generation):
                        return False
            while len(self._frames) >= self._depth:
                self._frames.popleft()
                self.counts.dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()
        return True

    def _failed(self, generation: int, error: BaseException) -> bool:
        """Note a lost connection; returns whether that ends the reader."""
        with self._changed:
            if not self._is_current(generation):
                return True
            self.counts.last_error = str(error)
            expected = isinstance(error, RainclearError)
            if expected and self._reconnect and self.counts.captured:
                return False
            self._error = error
            self._changed.notify_all()
            return True

    def _pause(self, generation: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._changed:
            while self._is_current(generation) and (left := end - time.monotonic()) > 0:
                self._changed.wait(min(left, _POLL))
                # A pause is no silence of the reader.
                self._alive = time.monotonic()
            self._alive = time.monotonic()

    def _is_current(self, generation: int) -> bool:
        return generation == self._generation and not self._stopped
