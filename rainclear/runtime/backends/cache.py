"""Small facts kept between runs, in the user's cache folder. Nothing here ever fails a run.

``RAINCLEAR_CACHE`` names another folder; set to an empty string, nothing is kept.
"""

import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["cache_folder", "load", "store"]


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


def store(file: str, key: str, value: Any) -> bool:
    """Set one key of ``file``, atomically; whether it could be written.

    Two processes that write at once leave a whole file, in which one of the values may be missing.
    """
    folder = cache_folder()
    if folder is None:
        return False
    data = load(file) | {key: value}
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
