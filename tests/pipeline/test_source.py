"""Live sources of a pipeline: the captures of ``rainclear.video.live``, read by a feed."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.pipeline import Pipeline, PipelineSpec, source
from rainclear.pipeline.source import open_source, source_name
from rainclear.pipeline.spec import SourceSpec


class FakeCapture:
    """Gives some frames, then does what ``error`` says."""

    def __init__(self, name, count=3, *, error=None, rotation=0, duration=0):
        self.name, self.count, self.error, self.closed = name, count, error, False
        self.rotation, self.duration, self.cancelled = rotation, duration, False

    def __iter__(self):
        for n in range(self.count):
            if self.cancelled:
                return
            yield Frame(
                pixels=np.full((8, 16, 3), 40 * n, np.uint8),
                pts=50_000 * n,
                time_base=Fraction(1, 1_000_000),
                duration=self.duration,
                rotation=self.rotation,
                index=n,
            )
        if self.error:
            raise self.error

    def cancel(self):
        self.cancelled = True

    def close(self):
        self.closed = True


@pytest.fixture
def captures(monkeypatch):
    """What is opened in place of cameras (by number) and of streams (by name)."""
    made, options = [], {}

    def make(name, **_):
        made.append(FakeCapture(name, **options))
        return made[-1]

    monkeypatch.setattr(source, "CameraCapture", make)
    monkeypatch.setattr(source, "open_capture", make)
    return SimpleNamespace(made=made, options=options)


@pytest.mark.parametrize("path", [0, 120, "0", "/dev/video7", "rtsp://camera/front"])
def test_cameras_and_streams_are_captures(captures, path):
    with open_source(SourceSpec(path=path)) as opened:
        frames = list(opened.frames)
    assert opened.live
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [0, 40, 80]
    assert [frame.time for frame in frames] == [0.0, 0.05, 0.1]
    (capture,) = captures.made
    assert capture.name == path and capture.closed
    assert opened.report().message is None


def test_a_file_is_no_camera_whatever_its_name(captures, make_video, monkeypatch, tmp_path):
    make_video().rename(tmp_path / "0")
    monkeypatch.chdir(tmp_path)
    with open_source(SourceSpec(path="0")) as opened:
        assert (opened.live, opened.info.frames) == (False, 5)
    assert captures.made == []
    assert source_name("0") == "0"


@pytest.mark.parametrize(
    ("path", "name"),
    [(0, "camera-0"), ("0", "camera-0"), ("rtsp://a/b.c", "stream"), ("a/2024.mp4", "2024")],
)
def test_what_outputs_are_called(path, name):
    assert source_name(path) == name


def test_a_camera_named_on_the_command_line_names_its_outputs(captures, detector, tmp_path):
    spec = PipelineSpec.model_validate({"detect": {}, "sinks": {"mot": {"path": "{name}.txt"}}})
    report = Pipeline(spec, source="0", detector=detector).run(tmp_path)
    assert [path.name for path in report.outputs] == ["camera-0.txt"]


def test_what_the_first_frame_says(captures):
    captures.options.update(rotation=90, duration=50_000)
    with open_source(SourceSpec(path="rtsp://x", frames=2)) as opened:
        info = opened.info
        assert (info.width, info.height, info.rotation) == (8, 16, 0)  # upright
        assert (info.rate, info.time_base) == (20, Fraction(1, 1_000_000))
        assert [frame.pixels.shape for frame in opened.frames] == [(16, 8, 3)] * 2
    captures.options.clear()
    with open_source(SourceSpec(path=0)) as opened:
        assert opened.info.rate is None
        assert opened.info.path == Path("camera-0")


def test_a_camera_that_is_unplugged_ends_the_run_well(captures, detector, tmp_path):
    captures.options["error"] = InputError("camera 0: gives no more pictures")
    spec = PipelineSpec.model_validate(
        {"detect": {}, "sinks": {"jsonl": {"path": "a.jsonl"}, "video": {"path": "a.mp4"}}}
    )
    report = Pipeline(spec, source=0, detector=detector).run(tmp_path)
    assert report.frames == 3
    assert report.notes[0] == "camera 0: gives no more pictures"
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3
    assert captures.made[0].closed


def test_a_loop_that_is_left_gives_the_camera_back(captures, detector):
    captures.options["count"] = 10**6
    for frame, _ in Pipeline(PipelineSpec(detect={}), source=0, detector=detector):
        assert frame.index == 0
        break
    assert captures.made[0].closed


def test_a_source_without_a_frame_is_an_error(captures):
    captures.options["count"] = 0
    with (
        pytest.raises(InputError, match="ended before its first frame"),
        open_source(SourceSpec(path=0)),
    ):
        pass
    captures.options["error"] = InputError("camera 0: there is none")
    with pytest.raises(InputError, match="there is none"), open_source(SourceSpec(path=0)):
        pass
