"""Where uploads and results lie while the page needs them, and no longer."""

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Store"]


class Store:
    """A temporary folder whose contents go after an hour, and with it at the end.

    Args:
        keep: Seconds after which a file or folder in it is removed.
        every: Seconds from one look to the next.
    """

    def __init__(self, *, keep: float = 3600.0, every: float = 60.0) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="rainclear-"))
        self._keep, self._every = keep, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rainclear-store", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        shutil.rmtree(self.path, ignore_errors=True)

    def sweep(self) -> int:
        """Remove what is older than it may be; returns how many files and folders went."""
        oldest, removed = time.time() - self._keep, 0
        for path in self.path.iterdir():
            with suppress(OSError):  # another run may be removing it too
                if _newest(path) >= oldest:
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
        return removed

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            with suppress(OSError):
                self.sweep()


def _newest(path: Path) -> float:
    """Time of the last change below a path, in seconds since the epoch."""
    return max(p.stat().st_mtime for p in (path, *path.rglob("*")))
