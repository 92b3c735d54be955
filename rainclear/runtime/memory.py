"""Memory of this process: how much it has taken, and that what was freed is taken again."""

import ctypes
import re
import sys
from pathlib import Path

__all__ = ["keep_freed_memory", "peak_rss_mb", "tell_glibc"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_STATUS = Path("/proc/self/status")


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far in MiB; 0 where no one tells (Windows).

    Linux counts it for the program that runs (``VmHWM``). ``getrusage``, which serves elsewhere,
    also counts there what the process that started it had taken: its peak outlives fork and exec.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    if found is not None:
        return int(found[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def keep_freed_memory() -> bool:
    """Have glibc use freed frames and tensors again, for the whole process; whether it will.

    By default it hands everything from 128 KiB on back to the system at once, and the kernel clears
    the fresh pages that the next frame gets instead. Up to 32 MiB, the most that glibc allows, a
    buffer is now kept; more than 256 MiB of them unused are still handed back.
    """
    return tell_glibc({_M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 256 << 20})


def tell_glibc(settings: dict[int, int]) -> bool:
    """Set parameters of glibc's allocator, by their numbers in <malloc.h>; whether all were taken.

    Another C library is left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(parameter, value) for parameter, value in settings.items())
