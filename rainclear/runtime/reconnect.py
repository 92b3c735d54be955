"""What outlives a live source's connections: pauses between them, counts, and the time."""

import time
from dataclasses import dataclass
from fractions import Fraction

from rainclear.frame import Frame

__all__ = ["Backoff", "FeedCounts", "Stopwatch"]

_LEAST_GAP = Fraction(1, 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Seconds between attempts: ``first``, then ``factor`` times more, up to ``longest``."""

    first: float = 0.5
    factor: float = 2.0
    longest: float = 15.0

    def wait(self, attempt: int) -> float:
        """Seconds before attempt number ``attempt``, counted from 0 since the last frame."""
        # Capped first, since a camera may be away for days.
        return min(self.longest, self.first * self.factor ** min(attempt, 32))


@dataclass(kw_only=True, slots=True)
class FeedCounts:
    """What a feed has seen.

    Attributes:
        captured: Frames that the source gave.
        dropped: Frames among them that were too old when the next came.
        reconnects: Connections after the first that gave a frame.
        stuck: Readers that were left behind because they no longer answered.
        last_error: Why the source was lost last, ``None`` if it never was.
    """

    captured: int = 0
    dropped: int = 0
    reconnects: int = 0
    stuck: int = 0
    last_error: str | None = None


class Stopwatch:
    """Time stamps that go on over connections which each begin to count anew."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._last = Fraction(0)

    def shift_of(self, first: Frame) -> Fraction | None:
        """Seconds by which a connection's time stamps are moved, ``None`` without a stamp.

        Args:
            first: The connection's first frame that has a time stamp.
        """
        if first.pts is None:
            return None
        at, now = first.pts * first.time_base, time.monotonic()
        if self._began is None:
            self._began = now - float(at)
            return Fraction(0)
        # A source may have run ahead of the clock before it was lost.
        return max(Fraction(now - self._began), self._last + _LEAST_GAP) - at

    def shifted(self, frame: Frame, shift: Fraction | None) -> int | None:
        """The frame's pts, moved."""
        if frame.pts is None or shift is None:
            return frame.pts
        pts = frame.pts + round(shift / frame.time_base)
        self._last = pts * frame.time_base
        return pts
