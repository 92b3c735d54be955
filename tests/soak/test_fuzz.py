"""A short fuzz run, and that crashes and hangs would be told."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz.py")
spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
fuzz = importlib.util.module_from_spec(spec)
sys.modules["fuzz"] = fuzz
spec.loader.exec_module(fuzz)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux does")


def test_damaged_videos_give_videos_or_clear_errors(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--count=60", f"--keep={tmp_path / 'findings'}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("60 damaged videos in ") and not (tmp_path / "findings").exists()


def test_the_same_seed_damages_alike(tmp_path):
    for name in ("a.mp4", "b.avi"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 8)
    first = [fuzz.damaged(tmp_path, 3, index).read_bytes() for index in range(40)]
    assert first == [fuzz.damaged(tmp_path, 3, index).read_bytes() for index in range(40)]
    assert first != [fuzz.damaged(tmp_path, 4, index).read_bytes() for index in range(40)]
    assert len(set(first)) > 35


WORKER = """
import json, os, sys, time
for index in range(int(sys.argv[1]), 5):
    print(json.dumps({"begin": index}), flush=True)
    if index == 1:
        os.abort()
    if index == 3:
        time.sleep(60)
    end = {"end": index, "outcome": "ok", "message": "", "seconds": 0.0}
    print(json.dumps(end), flush=True)
"""


def test_crashes_and_hangs_are_findings_and_the_rest_is_tried():
    results = list(
        fuzz.watch(lambda first: [sys.executable, "-c", WORKER, str(first)], 5, limit=2.0)
    )
    assert [r.index for r in results] == [0, 1, 2, 3, 4]
    assert [r.outcome for r in results] == ["ok", "crash", "ok", "hang", "ok"]
    assert results[1].message == "SIGABRT"
    assert [r.is_finding for r in results] == [False, True, False, True, False]


def test_a_riddle_is_a_finding(tmp_path, monkeypatch):
    class Reader:
        def __init__(self, *_args, **_options):
            raise fuzz.RainclearError("something is wrong")

    monkeypatch.setattr(fuzz, "VideoReader", Reader)
    with pytest.raises(AssertionError, match="not a clear message"):
        fuzz.rewrite(tmp_path / "in.mp4", tmp_path / "out.mp4", threads=1)
