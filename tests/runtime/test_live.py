"""Live jobs from end to end in one process: reports, latency, losses, Ctrl-C."""

import io
import json
import threading
import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainclear.errors import InputError, OutputError
from rainclear.frame import Frame
from rainclear.runtime import executor, live
from rainclear.runtime.gate import RainReading
from rainclear.runtime.latency import LatencyMeter
from rainclear.runtime.live import derain_live
from rainclear.video.pipe import PipeFormat, PipeReader, PipeWriter

FORM = PipeFormat(width=16, height=8, rate=Fraction(30))


def invert(frames):
    for frame in frames:
        notes = {**frame.metadata, "rain_score": 0.25}
        yield replace(frame, pixels=255 - frame.pixels, metadata=notes)


def y4m(count=6, form=FORM, **options) -> io.BytesIO:
    out = io.BytesIO()
    writer = PipeWriter(out, form, **options)
    for n in range(count):
        writer.write(
            Frame(pixels=np.full((form.height, form.width, 3), (40 + 5 * n) % 250, np.uint8))
        )
    return io.BytesIO(out.getvalue())


class Source:
    """Frames at a camera's pace, then an end or an error."""

    def __init__(self, count, error=None, pause=0.0):
        self.count, self.error, self.pause = count, error, pause

    def __iter__(self):
        for n in range(self.count):
            time.sleep(self.pause)
            yield Frame(
                pixels=np.full((16, 16, 3), 50, np.uint8),
                pts=n * 40_000,
                time_base=Fraction(1, 1_000_000),
                index=n,
            )
        if self.error:
            raise self.error

    def cancel(self): ...

    def close(self): ...


def test_a_pipe_to_a_pipe():
    out = io.BytesIO()
    report = derain_live("-", "-", invert, stdin=y4m(), stdout=out)
    reader = PipeReader(io.BytesIO(out.getvalue()))
    frames = list(reader)
    assert reader.format == PipeReader(y4m()).format
    assert [int(f.pixels[0, 0, 0]) for f in frames] == pytest.approx(
        [255 - 40 - 5 * n for n in range(6)], abs=1
    )
    assert (report.frames, report.dropped, report.reconnects) == (6, 0, 0)
    assert report.rain_score_mean == 0.25
    assert 0 < report.latency["p50"] <= report.latency["p95"] <= report.latency["p99"]
    assert report.latency["p99"] <= report.latency["max"] < report.seconds
    assert json.loads(json.dumps(report.as_dict()))["fps"] > 0


def test_a_raw_pipe_stays_raw():
    form = PipeFormat.from_raw("16x8@30:rgb24")
    out = io.BytesIO()
    report = derain_live("-", "-", invert, stdin=y4m(3, form, y4m=False), stdout=out, raw=form)
    assert report.frames == 3
    assert np.frombuffer(out.getvalue(), np.uint8).reshape(3, -1)[:, 0].tolist() == [215, 210, 205]


def test_a_pipe_to_a_file(tmp_path):
    report = derain_live("-", tmp_path / "out.mkv", invert, stdin=y4m(5))
    with av.open(str(tmp_path / "out.mkv")) as video:
        assert len(list(video.decode(video=0))) == report.frames == 5
    with pytest.raises(OutputError, match="exists already"):
        derain_live("-", tmp_path / "out.mkv", invert, stdin=y4m(5))
    derain_live("-", tmp_path / "out.mkv", invert, stdin=y4m(5), overwrite=True)


def test_a_pipe_that_is_cut_off_is_told():
    data = y4m().getvalue()[:-10]
    report = derain_live("-", "-", invert, stdin=io.BytesIO(data), stdout=io.BytesIO())
    assert report.frames == 5
    assert report.truncated
    assert "stdin ended inside a frame" in report.notes[0]


def test_a_reader_that_leaves_ends_the_job_quietly():
    class Player(io.BytesIO):
        def write(self, data):
            if self.tell() > 600:
                raise BrokenPipeError
            return super().write(data)

    report = derain_live("-", "-", invert, stdin=y4m(50), stdout=Player())
    assert 0 < report.frames < 50
    assert report.notes == ["stdout: the reader has closed the pipe"]


def test_empty_and_wrong_pipes_are_errors():
    with pytest.raises(InputError, match="ended before its first frame"):
        derain_live("-", "-", invert, stdin=io.BytesIO(FORM.header), stdout=io.BytesIO())
    with pytest.raises(InputError, match="not a Y4M stream"):
        derain_live("-", "-", invert, stdin=io.BytesIO(b"MP4?"), stdout=io.BytesIO())


def test_a_slow_network_drops_frames_and_stays_up_to_date(monkeypatch):
    monkeypatch.setattr(live, "open_capture", lambda *_, **__: Source(60, pause=0.002))
    monkeypatch.setattr(live, "is_live", lambda _: False)

    def slow(frames):
        for frame in frames:
            time.sleep(0.02)
            yield frame

    report = derain_live("camera", "-", slow, stdout=io.BytesIO(), policy="drop-oldest")
    assert report.dropped > 0
    assert report.frames + report.dropped == 60


def test_a_camera_that_is_lost_leaves_a_whole_file(monkeypatch, tmp_path):
    monkeypatch.setattr(
        live, "open_capture", lambda *_, **__: Source(5, InputError("cable pulled"))
    )
    monkeypatch.setattr(live, "is_live", lambda _: False)
    report = derain_live("camera", tmp_path / "out.mp4", invert)
    assert report.lost == "cable pulled"
    with av.open(str(tmp_path / "out.mp4")) as video:
        stamps = [f.time for f in video.decode(video=0)]
    assert stamps == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_ctrl_c_leaves_a_whole_file(monkeypatch, tmp_path):
    monkeypatch.setattr(live, "open_capture", lambda *_, **__: Source(10**6))

    def stopped(frames):
        for n, frame in enumerate(frames):
            if n == 4:
                raise KeyboardInterrupt
            yield frame

    report = derain_live("0", tmp_path / "out.mp4", stopped, policy="block")
    assert report.notes == ["stopped by Ctrl-C"]
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert len(list(video.decode(video=0))) == 4


@given(values=st.lists(st.floats(2e-5, 100), min_size=1, max_size=80))
def test_percentiles_are_right_within_one_per_cent(values):
    meter = LatencyMeter()
    for value in values:
        meter.add(value)
    for percent in (50, 95, 99):
        wanted = np.percentile(values, percent, method="inverted_cdf")
        assert wanted * 0.999 <= meter.percentile(percent) <= wanted * 1.011
    assert meter.longest == max(values)


def test_no_latency_is_zero():
    assert LatencyMeter().percentile(95) == 0.0


def test_what_was_derained_how_is_in_the_report(monkeypatch):
    def by_turns(frames):
        for n, frame in enumerate(frames):
            reading = RainReading(score=0.1, open=n % 3 == 0)
            notes = {"level": "half" if n % 2 else "full", "rain_reading": reading}
            yield replace(frame, metadata={**frame.metadata, **notes})

    report = derain_live("-", "-", by_turns, stdin=y4m(7), stdout=io.BytesIO(), policy="adaptive")
    # What is late is dropped, too.
    assert sum(report.levels.values()) == report.frames == 7 - report.dropped
    assert report.levels["full"] == (report.frames + 1) // 2
    assert report.dry_frames == report.frames - (report.frames + 2) // 3
    assert json.loads(json.dumps(report.as_dict()))["levels"] == report.levels


def test_a_wrong_policy_is_refused():
    with pytest.raises(InputError, match="'newest'; use one of: block, drop-oldest, adaptive"):
        derain_live("-", "-", invert, stdin=y4m(), stdout=io.BytesIO(), policy="newest")


def test_a_player_that_takes_nothing_for_long_ends_the_job(monkeypatch):
    monkeypatch.setattr(live, "_OUTPUT_TIMEOUT", 0.15)
    monkeypatch.setattr(executor, "_JOIN", 0.05)
    release = threading.Event()

    class Paused(io.BytesIO):
        def write(self, data):
            release.wait(10)
            return super().write(data)

    try:
        with pytest.raises(OutputError, match="-: takes no more: nothing for"):
            derain_live("-", "-", invert, stdin=y4m(50), stdout=Paused())
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread.name == "rainclear-sink":
                thread.join(5)
