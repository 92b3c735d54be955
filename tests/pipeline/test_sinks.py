import json
import re
import socket
import sys
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest

from rainclear.detection.detections import Detections
from rainclear.errors import OutputError
from rainclear.evaluation.labels import read_labels
from rainclear.frame import Frame
from rainclear.pipeline import Pipeline, PipelineSpec, Result, TrackedDetections
from rainclear.pipeline.sinks import CocoSink, JsonlSink, MotSink, WindowSink
from rainclear.pipeline.spec import WindowSpec
from rainclear.video import VideoInfo


def result(index: int, ids: list[int] | None) -> Result:
    """A frame with a car for each id; with two cars where there is no tracker."""
    count = 2 if ids is None else len(ids)
    xyxy = [[10.0 * i, 0, 10.0 * i + 5, 8] for i in range(count)]
    found = Detections.of(xyxy, [0.5] * count, [2] * count)
    if ids is not None:
        found = TrackedDetections(
            xyxy=found.xyxy, scores=found.scores, classes=found.classes, ids=np.array(ids)
        )
    frame = Frame(pixels=np.zeros((48, 64, 3), np.uint8), index=index)
    return Result(rainy=frame, frame=frame, before=None, detections=found)


def write(sink, *results: Result) -> str:
    for one in results:
        sink.write(one)
    sink.close()
    return sink._file.path.read_text(encoding="utf-8")


def info(path: str) -> VideoInfo:
    return VideoInfo(path=Path(path), width=64, height=48, time_base=Fraction(1, 25))


def test_boxes_without_a_track_are_not_in_the_text_of_tracks(tmp_path):
    tracked = [result(0, [-1, -1, 1]), result(1, [2, -1, 1])]
    lines = write(MotSink(tmp_path / "a.txt", overwrite=False), *tracked).splitlines()
    assert [line.split(",")[:3] for line in lines] == [
        ["1", "1", "20.00"],
        ["2", "2", "0.00"],
        ["2", "1", "20.00"],
    ]
    text = write(JsonlSink(tmp_path / "a.jsonl", overwrite=False), *tracked).splitlines()
    assert [one["track"] for one in json.loads(text[0])["objects"]] == [-1, -1, 1]


def test_without_a_tracker_every_box_is_in_the_mot_text(tmp_path):
    lines = write(MotSink(tmp_path / "a.txt", overwrite=False), result(0, None)).splitlines()
    assert [line.split(",")[:2] for line in lines] == [["1", "-1"]] * 2


def test_coco_has_a_track_id_where_there_is_a_track(tmp_path):
    sink = CocoSink(tmp_path / "a.json", info("drive.mp4"), overwrite=False)
    data = json.loads(write(sink, result(0, [-1, 7])))
    assert [one.get("track_id") for one in data["annotations"]] == [None, 7]
    assert "track_id" not in data["annotations"][0]


@pytest.mark.parametrize(
    ("source", "name"),
    [("a/rain2.mp4", "rain2/000003.jpg"), ("camera-0", "camera-0/000003.jpg"), ("a.png", "a.png")],
)
def test_images_of_coco_have_names_of_their_own(tmp_path, source, name):
    sink = CocoSink(tmp_path / "a.json", info(source), overwrite=False)
    (image,) = json.loads(write(sink, result(2, None)))["images"]
    assert image == {"id": 3, "file_name": name, "width": 64, "height": 48, "frame": 2}


def test_coco_of_a_video_can_be_read_as_labels(tmp_path):
    sink = CocoSink(tmp_path / "a.json", info("drive.mp4"), overwrite=False)
    write(sink, result(0, [1]), result(1, [1, 2, 3]))
    labels = read_labels(tmp_path / "a.json")
    counts = [len(labels.of(Path(f"00000{i}.jpg"), 48, 64).classes) for i in (1, 2)]
    assert counts == [1, 3]


linux = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have a screen of their own"
)
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XDG_RUNTIME_DIR")


@pytest.fixture
def screen(monkeypatch):
    """Sets the variables that tell of a screen; those that are not given are taken away."""

    def set_screen(**values: object) -> None:
        for name in SCREENS:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return set_screen


@pytest.fixture
def listen():
    """Opens a socket that takes callers, by its address."""
    with ExitStack() as stack:

        def listen_at(address: str | tuple[str, int]) -> socket.socket:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            server = stack.enter_context(socket.socket(family))
            server.bind(address)
            server.listen()
            return server

        yield listen_at


@pytest.fixture
def folder():
    """A folder with a name short enough for a socket."""
    with TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def opens() -> bool:
    try:
        WindowSink(WindowSpec(), compare=False)
    except OutputError as error:
        assert re.match(
            r"no window can be opened here(: nothing .*)?; use another sink", str(error)
        )
        return False
    return True


@linux
@pytest.mark.parametrize("there", [False, True])
def test_a_window_without_a_screen_is_refused_before_anything_is_opened(
    there, squares, detector, tmp_path, monkeypatch, files_in, screen
):
    screen(**({"QT_QPA_PLATFORM": "offscreen"} if there else {}))
    shown: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda title, _: shown.append(title))
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    monkeypatch.setattr(cv2, "destroyWindow", lambda _: None)
    folder = tmp_path / "out"
    folder.mkdir()
    spec = PipelineSpec.model_validate(
        {"detect": {}, "sinks": {"window": {}, "jsonl": {"path": "a.jsonl"}}}
    )
    if there:
        Pipeline(spec, source=squares, detector=detector).run(folder)
        assert len(shown) == 6
        return
    with pytest.raises(OutputError, match=r"no window can be opened here; use another sink"):
        Pipeline(spec, source="none.mp4", detector=detector).run(folder)
    assert shown == [] and files_in(folder) == set()


@linux
@pytest.mark.parametrize(
    "display",
    [
        ":77",
        ":77.0",
        "unix:77",
        "unix/:77",
        "127.0.0.1:59000",
        "somewhere",
        ":",
        "/none/X0",
        ":9" * 9,
    ],
)
def test_a_display_that_does_not_answer_is_refused_by_its_name(
    display, screen, folder, monkeypatch
):
    monkeypatch.setattr("rainclear.pipeline.screen._X_SOCKETS", f"{folder}/X")
    screen(DISPLAY=display)
    with pytest.raises(OutputError, match=f"nothing answers at DISPLAY={re.escape(display)}; use"):
        WindowSink(WindowSpec(), compare=False)
    screen(DISPLAY=display, WAYLAND_DISPLAY="wayland-7", XDG_RUNTIME_DIR=folder)
    with pytest.raises(OutputError, match=r" and WAYLAND_DISPLAY=wayland-7; use"):
        WindowSink(WindowSpec(), compare=False)


@linux
@pytest.mark.parametrize("abstract", [False, True])
@pytest.mark.parametrize("display", [":77", ":77.0", ":77.", "unix:77", "unix/:77.1"])
def test_a_display_of_this_machine_is_found_by_its_socket(
    abstract, display, screen, listen, folder, monkeypatch
):
    monkeypatch.setattr("rainclear.pipeline.screen._X_SOCKETS", f"{folder}/X")
    server = listen(f"{chr(0) * abstract}{folder}/X77")
    screen(DISPLAY=display)
    assert opens()
    server.close()  # its name stays in the folder
    assert not opens()


@linux
def test_a_display_with_more_callers_than_it_can_take_in_is_there(
    screen, listen, folder, monkeypatch
):
    monkeypatch.setattr("rainclear.pipeline.screen._X_SOCKETS", f"{folder}/X")
    server = listen(f"{folder}/X77")
    server.listen(0)
    screen(DISPLAY=":77")
    with ExitStack() as stack:
        for _ in range(3):
            caller = stack.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(f"{folder}/X77")
        assert opens()


@linux
def test_a_display_may_be_the_path_of_a_socket(screen, listen, folder):
    server = listen(f"{folder}/display")
    for display in ("{}/display", "{}/display.0", "unix:{}/display"):
        screen(DISPLAY=display.format(folder))
        assert opens(), display
    server.close()
    assert not opens()


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "tcp/localhost", ""])
def test_a_display_of_another_machine_is_found_by_its_port(
    host, screen, listen, folder, monkeypatch
):
    monkeypatch.setattr("rainclear.pipeline.screen._X_SOCKETS", f"{folder}/X")
    server = listen(("127.0.0.1", 0))
    screen(DISPLAY=f"{host}:{server.getsockname()[1] - 6000}.0")
    assert opens()
    server.close()
    assert not opens()


@linux
def test_a_wayland_display_is_found_in_its_folder_or_by_its_path(screen, listen, folder):
    listen(f"{folder}/wayland-7")
    screen(WAYLAND_DISPLAY="wayland-7", XDG_RUNTIME_DIR=folder)
    assert opens()
    screen(WAYLAND_DISPLAY="wayland-7")
    assert not opens()
    screen(WAYLAND_DISPLAY=folder / "wayland-7", DISPLAY="somewhere")
    assert opens()


@linux
def test_the_screen_is_that_of_the_platform_that_qt_is_told_to_take(
    screen, listen, folder, monkeypatch
):
    monkeypatch.setattr("rainclear.pipeline.screen._X_SOCKETS", f"{folder}/X")
    screen(QT_QPA_PLATFORM="xcb")
    assert not opens()
    listen(f"{folder}/wayland-0")
    for platform, there in (
        ("xcb", False),
        ("wayland", True),
        ("wayland-egl;xcb", True),
        ("vnc:size=640x480", True),
        ("", False),
    ):
        screen(QT_QPA_PLATFORM=platform, DISPLAY=":77", XDG_RUNTIME_DIR=folder)
        assert opens() is there, platform
