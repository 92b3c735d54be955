"""How much memory this process has taken."""

import re
import resource
import sys
from pathlib import Path

__all__ = ["peak_rss_mb"]

_STATUS = Path("/proc/self/status")


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far in MiB.

    Linux counts it for the program that runs (``VmHWM``). ``getrusage``, which serves elsewhere,
    also counts there what the process that started it had taken: its peak outlives fork and exec.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
