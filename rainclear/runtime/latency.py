"""Percentiles of a stream's latency in memory that does not grow."""

import math

__all__ = ["LatencyMeter"]

_SHORTEST, _LONGEST = 1e-5, 1e4
_STEP = 1.01
_BINS = math.ceil(math.log(_LONGEST / _SHORTEST, _STEP)) + 1


class LatencyMeter:
    """Counts latencies in bins that are 1 % wide, from 10 µs to some hours.

    Attributes:
        count: Latencies so far.
        longest: The longest, seconds, exact.
    """

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self.count = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one latency."""
        place = math.log(max(seconds, _SHORTEST) / _SHORTEST, _STEP)
        self._bins[min(_BINS - 1, int(place))] += 1
        self.count += 1
        self.longest = max(self.longest, seconds)

    def percentile(self, percent: float) -> float:
        """Seconds that ``percent`` of the latencies do not exceed, within 1 %; 0 without any."""
        wanted, seen = math.ceil(self.count * percent / 100), 0
        for place, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return min(self.longest, _SHORTEST * _STEP ** (place + 1))
        return 0.0
