"""Writes a calibrated gate as YAML: a file of its own, or the section of a ``model.yaml``."""

import os
import re
from pathlib import Path

import yaml

from rainclear.config import GateSpec
from rainclear.errors import OutputError
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["check_free", "write_gate"]

_SECTION = re.compile(r"^gate:.*\n(?:(?:[ \t].*)?\n)*", re.MULTILINE)


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Refuse early what :func:`write_gate` would refuse after the work.

    Raises:
        OutputError: The file exists, or its folder is missing or cannot be written to.
    """
    PartialFile(path, overwrite=overwrite or _is_model(path)).discard()


def write_gate(path: str | os.PathLike[str], gate: GateSpec, *, overwrite: bool = False) -> None:
    """Write ``gate`` to ``path``; in an existing ``model.yaml`` only its section is replaced.

    Raises:
        OutputError: The file exists, or cannot be written.
    """
    path = Path(path)
    section = yaml.safe_dump({"gate": gate.model_dump()}, sort_keys=False, default_flow_style=None)
    text = section
    into_model = _is_model(path)
    if into_model:
        try:
            before = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OutputError(f"{path}: cannot be read to add the gate: {error}") from error
        rest = _SECTION.sub("", before if before.endswith("\n") else before + "\n")
        text = _before_training(rest, section)
    file = PartialFile(path, overwrite=overwrite or into_model)
    try:
        with output_errors(path):
            file.partial.write_text(text, encoding="utf-8")
        file.commit()
    finally:
        file.discard()


def _is_model(path: Path) -> bool:
    return path.name == "model.yaml" and path.is_file()


def _before_training(text: str, section: str) -> str:
    """``section`` before the training recipe and its comment, or at the end."""
    at = re.search(r"^(?:#.*\n)*training:", text, re.MULTILINE)
    if at is None:
        return f"{text.rstrip()}\n\n{section}"
    return f"{text[: at.start()].rstrip()}\n\n{section}\n{text[at.start() :]}"
