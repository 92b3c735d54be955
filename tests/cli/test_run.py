import json

import pytest

from rainclear.video import probe


def test_a_shipped_pipeline(rainclear, tiny_model, make_video, tmp_path):
    done = rainclear(
        *("run", "derain", "--source", make_video("drive.mp4", pts=range(3)), "-o", tmp_path),
        *("--set", f"derain.model={tiny_model}", "--set", "derain.device=cpu"),
    )
    assert done.code == 0, done.err
    assert "3 frames" in done.out
    assert probe(tmp_path / "drive.derained.mp4").frames == 3
    lines = (tmp_path / "drive.rain.jsonl").read_text().splitlines()
    assert json.loads(lines[2])["gate"] == "open"


def test_a_file_of_ones_own(rainclear, make_video, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text('sinks: {video: {path: "{name}.copy.mp4", boxes: false}}\n')
    done = rainclear("run", file, "--source", make_video("a.mp4"), "-o", tmp_path)
    assert done.code == 0 and (tmp_path / "a.copy.mp4").is_file()


def test_unknown_settings_are_refused_with_the_nearest_name(rainclear, tmp_path):
    error = rainclear("run", "derain", "--source", "a.mp4", "--set", "derain.modle=x").error
    assert "unknown setting 'derain.modle'; did you mean 'model'?" in error


def test_a_missing_folder_is_named(rainclear, tmp_path):
    assert "no such folder" in rainclear("run", "derain", "-o", tmp_path / "none").error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detector", "none.pt"], "none.pt not found: rainclear downloads nothing"),
        (["--detector", "x.pt", "--class", "unicorn"], "COCO has no class 'unicorn'"),
        (["--detector", "x.pt", "--model", "none", "--side-by-side"], "give a --model"),
    ],
)
def test_detect_names_what_is_wrong(rainclear, make_video, tmp_path, options, message, tiny_model):
    options = options if "--model" in options else [*options, "--model", tiny_model]
    assert message in rainclear("detect", make_video(), "-o", tmp_path / "o.mp4", *options).error


def test_detect_writes_boxes(rainclear, tiny_model, make_picture, tmp_path, read_json):
    from pathlib import Path

    pytest.importorskip("ultralytics")
    weights = Path(__file__).parents[3] / "shared" / "detectors" / "yolo11n.pt"
    if not weights.is_file():
        pytest.skip("needs yolo11n.pt in the shared folder")
    done = rainclear(
        *("detect", make_picture(), "-o", tmp_path / "o.png", "--detector", weights),
        *("--model", tiny_model, "--device", "cpu", "--size", "64"),
        *("--side-by-side", "--coco", tmp_path / "o.json"),
    )
    assert done.code == 0, done.err
    assert (tmp_path / "o.png").is_file()
    assert read_json(tmp_path / "o.json")["images"][0]["file_name"] == "in.png"
