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


KEEPER = """
import resource
from rainclear.runtime.memory import keep_freed_memory
kept = {keep} and keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    frames = [bytearray(8 << 20) for _ in range(6)]
    for frame in frames:
        frame[:: 4096] = b"1" * len(frame[:: 4096])
for _ in range(3):
    use()
before = faults()
for _ in range(10):
    use()
print(int(kept), faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is told, which is on Linux")
def test_freed_frames_are_used_again():
    def run(keep: bool) -> tuple[int, int]:
        command = [sys.executable, "-c", KEEPER.format(keep=keep)]
        child = subprocess.run(command, capture_output=True, text=True, check=True)
        kept, faults = map(int, child.stdout.split())
        return kept, faults

    kept, faults = run(keep=True)
    if not kept:
        pytest.skip("another C library than glibc")
    assert faults < 100
    assert run(keep=False)[1] > 1000  # otherwise this shows nothing
