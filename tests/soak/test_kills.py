"""A job that is killed without warning, once; ``make soak`` does it ten times."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kills.py")
spec = importlib.util.spec_from_file_location("kills", SCRIPT)
kills = importlib.util.module_from_spec(spec)
sys.modules["kills"] = kills
spec.loader.exec_module(kills)


@pytest.mark.slow
def test_the_same_command_again_gives_what_an_undisturbed_run_gives(tmp_path):
    count = int(os.environ.get("RAINCLEAR_KILLS", "1"))
    lines = kills.rounds(tmp_path, count, frames=150, seed=3)
    assert len(lines) == count
