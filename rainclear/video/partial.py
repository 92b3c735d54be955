"""Files that appear under their final name only when complete."""

import errno
import glob
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import av

from rainclear.errors import OutputError

__all__ = ["PartialFile", "output_errors", "try_lock"]

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NUMBERS = itertools.count()
# Seconds in which a partial file is left alone, whoever writes it.
_FRESH = 10.0


class PartialFile:
    """A file that is written beside its final name and renamed when it is whole.

    Args:
        path: Final name. A link is followed, so that the file behind it is replaced.
        overwrite: Whether a file of that name may be replaced.
        source: A file that must not be the result, as it is being read.

    Attributes:
        path: Final name.
        partial: Name to write to until ``commit``; same folder, same suffix.

    Raises:
        OutputError: The file exists, is the source, is no plain file; the folder is missing or
            cannot be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        source: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self._overwrite = overwrite
        self._final = self.path.resolve()
        if source is not None and self.path.exists() and self.path.samefile(source):
            raise OutputError(f"{self.path}: is the input itself; give another output name")
        self._check_free()
        folder = self._final.parent
        if not folder.is_dir():
            raise OutputError(f"{self.path}: the folder {folder} does not exist; create it first")
        self.partial = folder / (
            f".{self._final.stem}.partial-{os.getpid()}-{next(_NUMBERS)}{self._final.suffix}"
        )
        _sweep(self._final)
        with output_errors(self.path):
            # Finds out what permission bits alone do not tell, such as a read-only disk.
            self._lock = self.partial.open("wb")
        try_lock(self._lock)

    def commit(self) -> None:
        """Give the file its final name.

        Raises:
            OutputError: Another file took the name meanwhile, or renaming failed.
        """
        self._check_free()
        self._lock.close()
        with output_errors(self.path):
            os.replace(self.partial, self._final)

    def discard(self) -> None:
        """Remove what was written; harmless when repeated or after ``commit``."""
        self._lock.close()
        with suppress(OSError):
            self.partial.unlink(missing_ok=True)

    def _check_free(self) -> None:
        if self.path.is_dir():
            raise OutputError(f"{self.path}: is a directory; give a file name")
        if self.path.exists() and not self.path.is_file():
            raise OutputError(f"{self.path}: is not a plain file; give another name")
        if self.path.exists() and not self._overwrite:
            raise OutputError(f"{self.path}: exists already; give another name or --overwrite")


def _sweep(final: Path) -> None:
    """Remove what killed jobs left of a file; a job that still writes holds a lock on its own."""
    for path in final.parent.glob(f".{glob.escape(final.stem)}.partial-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < _FRESH:
                continue  # it may be about to be locked, or to get its name
            with path.open("rb") as file:
                if path.suffix == final.suffix and try_lock(file):
                    path.unlink()


def try_lock(file: IO[bytes]) -> bool | None:
    """Lock a file for as long as it is open here.

    Returns:
        Whether that was possible; ``None`` where the system has no such locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def output_errors(path: Path, doing: str = "cannot be written") -> Iterator[None]:
    """Turn errors of the system and of FFmpeg into OutputError."""
    try:
        yield
    except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
        code = getattr(error, "errno", None)
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"{path}: disk full; free some space and run again") from error
        # FFmpeg's encoders say EPERM when they do not like a frame.
        if code in (errno.EACCES, errno.EPERM, errno.EROFS) and not isinstance(
            error, av.FFmpegError
        ):
            raise OutputError(f"{path}: no permission to write in {path.parent}") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{path}: {doing}: {reason}") from error
