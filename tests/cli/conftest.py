import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rainclear.cli.app import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The message, after checking that stderr is that one line and nothing else."""
        assert self.code not in (0, None)
        assert self.err.startswith("error: ") and self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def rainclear(monkeypatch, capfd) -> Callable[..., Outcome]:
    """Runs the command with real file descriptors, so that what FFmpeg prints counts too."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rainclear", *map(str, arguments)])
        capfd.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run


@pytest.fixture
def read_json() -> Callable[..., Any]:
    return lambda path: json.loads(path.read_text(encoding="utf-8"))
