"""The files of a job that can be killed: their names, how they are written, and what seals them."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from rainclear.config import Settings

__all__ = [
    "PACKETS",
    "STATE",
    "TABLE",
    "Seal",
    "file_name",
    "folder_of",
    "is_segment_file",
    "partial_of",
    "write_whole",
]

PACKETS, TABLE, STATE = "packets", "table.safetensors", "state.safetensors"
"""Kinds of the files of a segment."""


class Seal(Settings):
    """What a file must be: its size in bytes and the SHA-256 of its content."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Seal":
        """The seal of a file as it is."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return cls(size=file.tell(), sha256=digest.hexdigest())

    def fits(self, path: Path) -> bool:
        """Whether a file is there and is what was sealed."""
        try:
            return path.stat().st_size == self.size and Seal.of(path) == self
        except OSError:
            return False


def file_name(number: int, kind: str) -> str:
    """Name of a file of a segment within its folder."""
    return f"{number:06d}.{kind}"


def is_segment_file(path: Path) -> bool:
    """Whether a file is of a segment, or one that was being written."""
    kinds = tuple(f".{kind}" for kind in (PACKETS, TABLE, STATE))
    return path.name.endswith((*kinds, ".partial")) and path.is_file()


def folder_of(output: Path) -> Path:
    """The folder in which the segments of an output are collected."""
    return output.with_name(output.name + ".part")


def write_whole(path: Path, data: bytes) -> Seal:
    """Write a file that appears under its name only when it is whole on the disk.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    partial = partial_of(path)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return Seal(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def partial_of(path: Path) -> Path:
    """Name of a file of a segment while it is being written."""
    return path.with_name(f".{path.name}.partial")
