"""Weight files of detectors: they are the user's, are never downloaded, and may be broken."""

from pathlib import Path

from rainclear.errors import ModelError

__all__ = ["first_line", "require_file"]


def first_line(error: Exception) -> str:
    """What a library says of a file, cut to one line; the error's name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
