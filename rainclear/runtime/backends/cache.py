"""Small facts kept between runs, in the user's cache folder. Nothing here ever fails a run.

``RAINCLEAR_CACHE`` names another folder; set to an empty string, nothing is kept.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["cache_folder", "load", "locked", "store"]

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_POLL = 0.1
_WRITING = 10.0  # seconds; writing takes milliseconds


def cache_folder(*, make: bool = True) -> Path | None:
    """The cache folder, made if need be; ``None`` if there is none or it cannot be written to."""
    named = os.environ.get("RAINCLEAR_CACHE")
    try:
        if named is not None:
            folder = Path(named).expanduser() if named else None
        elif sys.platform == "darwin":
            folder = Path.home() / "Library" / "Caches" / "rainclear"
        elif sys.platform == "win32":
            folder = Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "rainclear" / "cache"
        else:
            base = os.environ.get("XDG_CACHE_HOME")
            folder = (Path(base) if base else Path.home() / ".cache") / "rainclear"
        if folder is None:
            return None
        if make:
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, no permission, a file in the way
        return None
    return folder if not make or os.access(folder, os.W_OK) else None


def load(file: str) -> dict[str, Any]:
    """The JSON object in ``file`` of the cache; empty if there is none or it is damaged."""
    folder = cache_folder(make=False)
    if folder is None:
        return {}
    try:
        data = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


@contextmanager
def locked(name: str, *, patience: float) -> Iterator[None]:
    """Be the only one on this machine that does what ``name`` stands for.

    Without a cache folder, or where the system has no locks, there is none.

    Args:
        name: Of the lock; a file of the cache folder, ``.NAME.lock``, which stays.
        patience: Seconds to wait for another; then it goes on without, as that one may hang.
    """
    folder = cache_folder()
    file: IO[bytes] | None = None
    with suppress(OSError):
        file = None if folder is None else (folder / f".{name}.lock").open("ab")
    if file is None:
        yield
        return
    with file:
        end = time.monotonic() + patience
        while _held_by_another(file) and time.monotonic() < end:
            time.sleep(_POLL)
        yield


def _held_by_another(file: IO[bytes]) -> bool:
    """Try to lock; unlike another's lock, a disk without locks is nothing to wait for."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def store(file: str, key: str, value: Any) -> bool:
    """Set one key of ``file``, atomically; whether it could be written."""
    folder = cache_folder()
    if folder is None:
        return False
    with locked(file, patience=_WRITING):
        return _write(folder, file, load(file) | {key: value})


def _write(folder: Path, file: str, data: dict[str, Any]) -> bool:
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file}-", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(data, out, indent=1)
        os.replace(name, folder / file)
    except (OSError, ValueError, TypeError):
        if name:
            with suppress(OSError):
                os.unlink(name)
        return False
    return True
