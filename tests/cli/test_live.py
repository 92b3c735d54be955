"""``… | rainclear derain - -o - | …`` with real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rainclear.cli.app import app
from rainclear.cli.live import _restorer, wants_live
from rainclear.errors import RainclearError
from rainclear.frame import Frame
from rainclear.runtime.options import DerainerOptions

WRITE = """
import sys, time, av, numpy as np
count, pause = int(sys.argv[1]), float(sys.argv[2])
with av.open(sys.stdout.buffer, "w", format="yuv4mpegpipe") as out:
    stream = out.add_stream("wrapped_avframe", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for n in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + n, np.uint8), "rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts = n
        out.mux(stream.encode(frame))
        sys.stdout.flush()
        time.sleep(pause)
"""
READ = """
import sys, av
with av.open(sys.stdin.buffer, format="yuv4mpegpipe") as video:
    s = video.streams.video[0]
    frames = sum(1 for _ in video.decode(video=0))
    print(frames, s.width, s.height, s.average_rate, s.pix_fmt)
"""


@pytest.fixture
def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def rainclear(tiny_model, *arguments, **options):
    command = [sys.executable, "-c", "from rainclear.cli.app import main; main()"]
    model = ("--model", str(tiny_model), "--device", "cpu", "--precision", "fp32")
    return subprocess.Popen([*command, "derain", *arguments, *model], **options)


def test_ffmpeg_to_rainclear_to_a_player(tiny_model, tmp_path, environment):
    report = tmp_path / "report.json"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, "8", "0"], stdout=subprocess.PIPE, env=environment
    )
    middle = rainclear(
        tiny_model,
        *("-", "-o", "-", "--report", str(report)),
        stdin=writer.stdout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    writer.stdout.close()
    reader = subprocess.run(
        [sys.executable, "-c", READ],
        stdin=middle.stdout,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    middle.stdout.close()
    told = middle.stderr.read().decode()
    middle.stderr.close()
    assert (middle.wait(120), writer.wait(120)) == (0, 0), told
    assert reader.stdout.split() == ["8", "64", "48", "25", "yuv420p"]
    assert "8 frames" in told
    figures = json.loads(report.read_text())
    assert (figures["frames"], figures["dropped"]) == (8, 0)
    assert figures["latency"]["p95"] > 0


def test_a_player_that_is_closed_ends_everything(tiny_model, environment):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, "100000", "0.002"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    middle = rainclear(
        tiny_model,
        *("-", "-o", "-"),
        stdin=writer.stdout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    writer.stdout.close()
    assert middle.stdout.read(9) == b"YUV4MPEG2"
    middle.stdout.close()
    told = middle.stderr.read().decode()
    middle.stderr.close()
    assert middle.wait(120) == 0, told
    assert "the reader has closed the pipe" in told
    assert "Traceback" not in told
    writer.wait(120)


def test_what_goes_live_and_what_does_not(tmp_path):
    video = tmp_path / "a.mp4"
    video.touch()
    assert not wants_live([video], tmp_path / "b.mp4")
    assert not wants_live([tmp_path / "missing.mp4"], tmp_path / "b.mp4")
    assert wants_live([video], Path("-"))
    for name in ("-", "0", "/dev/video3", "rtsp://host/cam", "frame_%04d.png"):
        assert wants_live([Path(name)], tmp_path / "b.mp4")
    (tmp_path / "50%.mp4").touch()
    assert not wants_live([tmp_path / "50%.mp4"], tmp_path / "b.mp4")


def test_the_adaptive_policy_brings_cheaper_ways(tiny_model):
    settings = DerainerOptions(
        model=str(tiny_model), device="cpu", precision="fp32", backend="eager", gate=False
    )

    def made(**options):
        restore = _restorer(settings, **options)
        frames = [Frame(pixels=np.zeros((16, 16, 3), np.uint8), index=0)]
        return next(iter(restore(frames))).metadata

    assert made(adaptive=True)["level"] == str(tiny_model)
    assert "level" not in made(adaptive=False)


def test_wrong_live_settings_are_one_line(tmp_path):
    out = str(tmp_path / "out.mp4")
    for arguments, message in [
        (["0", "1", "-o", out], "stands alone"),
        (["-", "-o", out, "--raw", "big"], "WIDTHxHEIGHT"),
        (["-", "-o", out, "--policy", "newest"], "block, drop-oldest"),
        (["-", "-o", out, "--compare"], "--compare"),
    ]:
        result = CliRunner().invoke(app, ["derain", *arguments])
        assert isinstance(result.exception, RainclearError)
        assert message in str(result.exception)
