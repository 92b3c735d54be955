from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from rainclear.detection import load_detector
from rainclear.detection.onnx import InputSpec, prepare
from rainclear.errors import ConfigError, ModelError

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

BOXES = [[10, 10, 30, 20], [11, 10, 31, 20], [40, 40, 50, 60]]


def save(
    path: Path,
    table: np.ndarray,
    name: str = "out",
    shape: Sequence[int | str] = (1, 3, 64, 64),
    *,
    second: np.ndarray | None = None,
) -> None:
    """A network that answers with ``table`` whatever it sees, and with ``second`` if given."""
    helper = onnx.helper
    tables = {name: table} if second is None else {name: table, "second": second}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
            helper.make_node("Sub", ["mean", "mean"], ["zero"]),
            *(helper.make_node("Add", [f"table {key}", "zero"], [key]) for key in tables),
        ],
        "constant",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(shape))],
        [
            helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, list(values.shape))
            for key, values in tables.items()
        ],
        [
            onnx.numpy_helper.from_array(values.astype(np.float32), f"table {key}")
            for key, values in tables.items()
        ],
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


@pytest.mark.parametrize("boxes", [0, 1, 2])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("kinds", [None, 3])  # one score a box and class numbers, or many scores
def test_few_boxes_with_and_without_a_batch(
    tmp_path: Path, boxes: int, batch: bool, kinds: int | None
):
    table = np.float32([[0, 8, 32, 40], [1, 2, 3, 4]])[:boxes]
    scores = np.full(boxes, 0.9) if kinds is None else np.tile([0.1, 0.2, 0.8], (boxes, 1))
    path = describe(
        tmp_path,
        table,
        boxes={"output": "out"},
        scores={"output": "second"},
        **({"classes": {"output": "second"}, "names": ["car"]} if kinds is None else {}),
    )
    tables = [table[None], scores[None]] if batch else [table, scores]
    save(tmp_path / "net.onnx", tables[0], second=tables[1])
    (found,) = load_detector(path, device="cpu")([np.zeros((64, 64, 3), np.uint8)])
    assert found.xyxy.tolist() == table.tolist()
    assert found.classes.tolist() == [2] * boxes


def test_description_that_does_not_fit_the_network(tmp_path: Path):
    table = np.zeros((1, 2, 6))
    good = {"boxes": {"output": "out", "columns": [0, 4]}}
    good["scores"] = {"output": "out", "columns": [4, 6]}
    path = describe(tmp_path, table, **good, input={"size": [32, 64]})
    with pytest.raises(ConfigError, match=r"net\.yaml.*takes 1×3×64×64 .* makes 1×3×32×64"):
        load_detector(path, device="cpu")
    path = describe(tmp_path, table, **good, objectness={"output": "nothere"})
    with pytest.raises(ConfigError, match="no output 'nothere'; it has out"):
        load_detector(path, device="cpu")
    picture = np.zeros((64, 64, 3), np.uint8)
    path = describe(tmp_path, table, **{**good, "boxes": {"output": "out", "columns": [4, 8]}})
    with pytest.raises(ConfigError, match=r"net\.yaml: boxes: 'out' gives 2×2, not N×4"):
        load_detector(path, device="cpu")([picture])
    path = describe(tmp_path, table, **{**good, "scores": {"output": "out", "rows": [0, 1]}})
    with pytest.raises(ConfigError, match="2 boxes, 6 scores"):
        load_detector(path, device="cpu")([picture])


def test_network_of_free_size_that_cannot_be_run(tmp_path: Path):
    path = describe(
        tmp_path, np.zeros((1, 2, 6)), boxes={"output": "out"}, scores={"output": "out"}
    )
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("size", onnx.TensorProto.FLOAT, [1])
    )
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"net\.yaml: the network cannot be run") as caught:
        load_detector(path, device="cpu")([np.zeros((64, 64, 3), np.uint8)])
    assert "\n" not in str(caught.value)


def test_foreign_onnx_without_a_description(tmp_path: Path):
    pytest.importorskip("ultralytics")
    picture = np.zeros((64, 64, 3), np.uint8)
    save(tmp_path / "lone.onnx", np.zeros((1, 2, 6)))
    # One of free size runs, but does not say what its classes are.
    save(tmp_path / "free.onnx", np.float32([[[1, 1, 9, 9, 0.9, 0]]]), "out", (1, 3, "h", "w"))
    for name in ("lone", "free"):
        with pytest.raises(ModelError, match=rf"{name}\.onnx.*describe it in {name}\.yaml"):
            load_detector(tmp_path / f"{name}.onnx", device="cpu")([picture])
