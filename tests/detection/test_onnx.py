from pathlib import Path

import numpy as np
import pytest
import yaml

from rainclear.detection import load_detector
from rainclear.detection.onnx import InputSpec, prepare
from rainclear.errors import ConfigError

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

BOXES = [[10, 10, 30, 20], [11, 10, 31, 20], [40, 40, 50, 60]]


def save(path: Path, table: np.ndarray, name: str = "out") -> None:
    """A network that answers with ``table`` whatever it sees."""
    helper = onnx.helper
    shape = [1, 3, 64, 64]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
            helper.make_node("Sub", ["mean", "mean"], ["zero"]),
            helper.make_node("Add", ["table", "zero"], [name]),
        ],
        "constant",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(table.shape))],
        [onnx.numpy_helper.from_array(table.astype(np.float32), "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)


def describe(tmp_path: Path, table: np.ndarray, **settings: object) -> Path:
    save(tmp_path / "net.onnx", table)
    path = tmp_path / "net.yaml"
    data = {"model": "net.onnx", "input": {"size": [64, 64]}, **settings}
    path.write_text(yaml.safe_dump(data))
    return path


def test_boxes_come_back_in_native_pixels(tmp_path: Path):
    # 1×7×3, as a YOLO answers: centre and size, then three classes.
    x = np.float32(BOXES)
    centre = np.concatenate([(x[:, :2] + x[:, 2:]) / 2, x[:, 2:] - x[:, :2]], 1)
    scores = np.float32([[0, 0.9, 0], [0, 0.8, 0], [0.1, 0, 0.7]])
    path = describe(
        tmp_path,
        np.concatenate([centre, scores], 1).T[None],
        boxes={"output": "out", "rows": [0, 4], "format": "cxcywh"},
        scores={"output": "out", "rows": [4, 7]},
        names=["tree", "car", "Pedestrian"],
        nms=0.5,
    )
    for source in (path, tmp_path / "net.onnx"):  # the description beside the file is found
        (found,) = load_detector(source, device="cpu")([np.zeros((64, 128, 3), np.uint8)])
        # Letterboxed to 64×32, 16 rows below the top.
        assert found.classes.tolist() == [2, 0]
        np.testing.assert_allclose(found.xyxy, [[20, 0, 60, 8], [80, 48, 100, 64]], atol=1e-4)


def test_relative_boxes_and_class_numbers(tmp_path: Path):
    table = np.float32([[[0.5, 0.5, 1, 1, 0.6, 3], [0, 0, 0.5, 0.5, 0.1, 1]]])
    path = describe(
        tmp_path,
        table,
        boxes={"output": "out", "columns": [0, 4], "units": "relative"},
        scores={"output": "out", "columns": [4, 5]},
        classes={"output": "out", "columns": [5, 6]},
        names="coco91",
    )
    (found,) = load_detector(path, device="cpu")([np.zeros((64, 64, 3), np.uint8)])
    assert found.classes.tolist() == [2]
    np.testing.assert_allclose(found.xyxy, [[32, 32, 64, 64]], atol=1e-4)


@pytest.mark.parametrize("resize", ["letterbox", "corner", "stretch"])
def test_prepare_can_be_undone(resize: str):
    frame = np.zeros((30, 50, 3), np.uint8)
    frame[10:20, 20:40, 0] = 255
    spec = InputSpec.model_validate({"size": (96, 80), "resize": resize, "pad": 0, "color": "bgr"})
    x, scale, offset = prepare(frame, spec)
    assert x.shape == (1, 3, 96, 80)
    rows, columns = np.nonzero(x[0, 2] > 0.5)  # red is last in BGR
    box = np.float32([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose((box - offset) / scale, [20, 10, 40, 20], atol=0.7)


def test_wrong_description(tmp_path: Path):
    path = describe(
        tmp_path, np.zeros((1, 1, 6)), boxes={"output": "nothing"}, scores={"output": "out"}
    )
    with pytest.raises(ConfigError, match="no output 'nothing'; it has out"):
        load_detector(path, device="cpu")
    path.write_text(path.read_text() + "colour: rgb\n")
    with pytest.raises(ConfigError, match="colour"):
        load_detector(path, device="cpu")
