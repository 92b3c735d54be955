"""The soak on a short clip, and that what leaks is told."""

import importlib.util
import mmap
import os
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("soak.py")
spec = importlib.util.spec_from_file_location("soak", SCRIPT)
soak = importlib.util.module_from_spec(spec)
sys.modules["soak"] = soak
spec.loader.exec_module(soak)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux about the process")


def test_nothing_grows_over_200_frames(derainer, tmp_path):
    verdict = soak.soak(tmp_path, frames=200, width=64, height=48, derainer=derainer)
    assert verdict.faults == []
    assert verdict.frames == 200 and verdict.rss > 50


def test_leaks_are_told(derainer, monkeypatch, tmp_path):
    kept = []

    def process(pixels):
        memory = mmap.mmap(-1, 1 << 22)  # a heap may have as much left from earlier tests
        memory.write(b"1" * len(memory))
        kept.append((memory, os.open(os.devnull, os.O_RDONLY)))
        return pixels

    monkeypatch.setattr(derainer, "process", process)
    try:
        verdict = soak.soak(tmp_path, frames=100, width=64, height=48, derainer=derainer)
    finally:
        for _, handle in kept:
            os.close(handle)
    assert len(verdict.faults) == 3
    assert verdict.rise > soak.FLAT
    assert 60 < verdict.handles < 100 == verdict.handles_left
    # Below 0: a thread that an earlier test left has ended meanwhile.
    assert verdict.threads <= 0 and verdict.threads_left <= 0
