"""A job that is killed without warning, once; ``make soak`` does it ten times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kills.py")


@pytest.mark.slow
def test_the_same_command_again_gives_what_an_undisturbed_run_gives():
    # In a process of its own: it forks, which one that ran networks must not.
    count = os.environ.get("RAINCLEAR_KILLS", "1")
    options = ["--kills", count, "--frames", "24", "--segment", "4", "--seed", "3"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the same") == int(count), done.stdout
