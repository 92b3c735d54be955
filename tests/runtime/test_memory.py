import resource
import subprocess
import sys

import pytest

import rainclear.runtime.memory as memory
from rainclear.runtime.memory import peak_rss_mb

MIB = 2**20
CHILD = f"""
from rainclear.runtime.memory import peak_rss_mb
print(peak_rss_mb())
taken = bytearray(b"1") * (300 * {MIB})
print(peak_rss_mb())
del taken
print(peak_rss_mb())
"""


def peaks() -> list[float]:
    """Of a new process: at its start, with 300 MiB more, and after it gave them back."""
    command = [sys.executable, "-c", CHILD]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(line) for line in child.stdout.split()]


def test_the_peak_grows_and_stays():
    _, full, after = peaks()
    assert full > 300
    assert after == pytest.approx(full, abs=2)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the program alone")
def test_the_peak_of_the_parent_is_not_the_childs():
    taken = bytearray(b"1") * (200 * MIB)
    start, _, _ = peaks()
    assert len(taken) == 200 * MIB
    assert 1 < start < 150


@pytest.mark.parametrize("status", [None, "VmRSS:\t10 kB\n"])
def test_without_the_figure_of_linux(monkeypatch, tmp_path, status):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    if status is not None:
        (tmp_path / "status").write_text(status)
    unit = 1 if sys.platform == "darwin" else 1024
    wanted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    assert peak_rss_mb() == pytest.approx(wanted, rel=0.05)
