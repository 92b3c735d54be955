"""Logs of a run: one JSON object a line, in the order of the steps."""

import json
from pathlib import Path
from typing import Any

from rainclear.errors import OutputError
from rainclear.training.checkpoint import whole_file

__all__ = ["append", "cut", "read"]


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a line.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def read(path: Path) -> list[dict[str, Any]]:
    """All lines; one that a kill cut off is left out. A missing file has none."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def cut(path: Path, step: int) -> list[dict[str, Any]]:
    """Drop what lies after ``step``, which a resumed run does again; returns the rest."""
    kept = [record for record in read(path) if record["step"] <= step]
    if path.exists():
        with whole_file(path) as file:
            file.write("".join(json.dumps(record) + "\n" for record in kept).encode())
    return kept
