"""Weight files of detectors: they are the user's, and are never downloaded."""

from pathlib import Path

from rainclear.errors import ModelError

__all__ = ["require_file"]


def require_file(path: Path, *, what: str = "detector weights") -> Path:
    """``path`` if it exists.

    Raises:
        ModelError: It does not; the message says which file to put where.
    """
    if path.exists():
        return path
    raise ModelError(
        f"{what} {path} not found: rainclear downloads nothing; put the file at "
        f"{path.absolute()} or give the path where it lies"
    )
