"""Runs a measurement in a process of its own, so that neither memory nor threads are shared."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from rainclear.errors import StageError
from rainclear.runtime.memory import tell_glibc

__all__ = ["call", "keep_memory"]

P = ParamSpec("P")
R = TypeVar("R")

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # <malloc.h>


def call(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What ``function`` returns in a fresh process; it and its arguments must be picklable.

    Raises:
        Exception: Whatever it raises.
        StageError: The process was killed.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        try:
            return pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise StageError(
                "a measurement was killed, as happens where memory is short; use a smaller --size"
            ) from error


def keep_memory() -> bool:
    """Have glibc keep freed memory instead of giving it back; whether that could be done.

    Large tensors otherwise come in fresh pages at every layer, which the kernel clears first.
    """
    return tell_glibc({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1})
