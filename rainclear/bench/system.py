"""What the operating system tells about load and memory; not every one does."""

import os

from rainclear.runtime.memory import peak_rss_mb

__all__ = ["load_average", "peak_memory_mb"]


def load_average() -> float | None:
    """Processes that wanted to run, mean of the last minute; ``None`` on Windows."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, MiB; ``None`` on Windows."""
    return peak_rss_mb() or None
