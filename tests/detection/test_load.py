from pathlib import Path

import pytest

from rainclear.detection import load_detector
from rainclear.errors import ModelError


@pytest.mark.parametrize("name", ["yolo11n.pt", "x.onnx", "yolo_openvino_model", "d.yaml"])
def test_missing_file_is_one_clear_line(tmp_path: Path, name: str):
    path = tmp_path / name
    with pytest.raises(ModelError) as caught:
        load_detector(path)
    message = str(caught.value)
    assert str(path) in message
    assert "put the file" in message
    assert "\n" not in message


def test_missing_torchvision_weights(tmp_path: Path):
    pytest.importorskip("torchvision")
    with pytest.raises(ModelError, match=r"w\.pth not found"):
        load_detector(f"torchvision:ssdlite320_mobilenet_v3_large@{tmp_path / 'w.pth'}")
    with pytest.raises(ModelError, match="BUILDER@WEIGHTS"):
        load_detector("torchvision:ssdlite320_mobilenet_v3_large")


def test_unknown_kind(tmp_path: Path):
    path = tmp_path / "detector.docx"
    path.touch()
    with pytest.raises(ModelError, match="no adapter"):
        load_detector(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("detectors", r"is a folder.*\.pt or \.onnx in it"),
        ("x_openvino_model", r"no OpenVINO model \(\.xml"),
    ],
)
def test_folder_without_a_detector(tmp_path: Path, name: str, message: str):
    path = tmp_path / name
    path.mkdir()
    (path / "readme.txt").touch()
    with pytest.raises(ModelError, match=message) as caught:
        load_detector(path, device="cpu")
    assert str(path) in str(caught.value)
