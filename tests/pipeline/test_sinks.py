import json
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.detection.detections import Detections
from rainclear.errors import OutputError
from rainclear.evaluation.labels import read_labels
from rainclear.frame import Frame
from rainclear.pipeline import Pipeline, PipelineSpec, Result, TrackedDetections
from rainclear.pipeline.sinks import CocoSink, JsonlSink, MotSink
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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a screen of their own")
@pytest.mark.parametrize("name", [None, "DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"])
def test_a_window_without_a_screen_is_refused_before_anything_is_opened(
    name, squares, detector, tmp_path, monkeypatch, files_in
):
    for one in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(one, raising=False)
    if name:
        monkeypatch.setenv(name, "somewhere")
    shown: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda title, _: shown.append(title))
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    monkeypatch.setattr(cv2, "destroyWindow", lambda _: None)
    folder = tmp_path / "out"
    folder.mkdir()
    spec = PipelineSpec.model_validate(
        {"detect": {}, "sinks": {"window": {}, "jsonl": {"path": "a.jsonl"}}}
    )
    if name:
        Pipeline(spec, source=squares, detector=detector).run(folder)
        assert len(shown) == 6
        return
    with pytest.raises(OutputError, match=r"no window can be opened here; use another sink"):
        Pipeline(spec, source="none.mp4", detector=detector).run(folder)
    assert shown == [] and files_in(folder) == set()
