"""The rain of every frame as lines of JSON, beside the video."""

import json
import os
from pathlib import Path
from typing import Self

from rainclear.frame import Frame
from rainclear.runtime.gate import RainReading
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["Sidecar"]

_DIGITS = 5


class Sidecar:
    """Writes one line of JSON a frame; a context manager.

    A line holds ``file``, ``frame``, ``pts``, ``time`` (seconds), ``rain_score``, ``gate``
    (``open`` or ``closed``) and the shares ``heavy``, ``light``, ``streaks`` and ``drops``, which
    :class:`rainclear.runtime.gate.RainReading` describes.

    Args:
        path: The file; it appears when the block was left without an error.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: The file exists or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self._file = PartialFile(path, overwrite=overwrite)
        with output_errors(self._file.path):
            self._lines = self._file.partial.open("w", encoding="utf-8")

    def write(self, source: str | os.PathLike[str], frame: Frame, reading: RainReading) -> None:
        """Write the line of one frame of the file ``source``."""
        line = {
            "file": Path(source).name,
            "frame": frame.index,
            "pts": frame.pts,
            "time": frame.time,
            **reading.as_dict(),
        }
        rounded = {k: round(v, _DIGITS) if isinstance(v, float) else v for k, v in line.items()}
        with output_errors(self._file.path):
            self._lines.write(json.dumps(rounded) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with output_errors(self._file.path):
                self._lines.close()
            if kind is None:
                self._file.commit()
        finally:
            self._file.discard()
