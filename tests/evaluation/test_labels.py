import json
from pathlib import Path

import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.evaluation.labels import read_labels

PICTURE = Path("a.png")
KITTI = "{} 0.00 0 -1.57 {} 1.5 1.6 3.9 1.0 1.5 20.0 -1.5\n"


def test_yolo_with_ignore_regions(tmp_path: Path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "ignore").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("2 0.5 0.5 0.2 0.4\n0 0.1 0.1 0.2 0.2\n")
    (tmp_path / "ignore" / "a.txt").write_text("DontCare 0.9 0.9 0.2 0.2\n")
    labels = read_labels(tmp_path / "labels")
    truth = labels.of(PICTURE, 100, 200)
    np.testing.assert_allclose(truth.xyxy, [[80, 30, 120, 70], [0, 0, 40, 20]], atol=1e-4)
    assert truth.classes.tolist() == [2, 0]
    np.testing.assert_allclose(truth.ignore, [[160, 80, 200, 100]], atol=1e-4)
    assert truth.ignore_classes.tolist() == [-1]
    assert labels.has(PICTURE)
    assert not labels.has(Path("b.png"))
    assert len(labels.of(Path("b.png"), 10, 10).classes) == 0


def test_polygons_become_the_boxes_around_them(tmp_path: Path):
    triangle = "2.0 0.3 0.2 0.5 0.6 0.4 0.8\n"
    many = "0 " + " ".join(["0.1 0.2", "0.3 0.2", "0.3 0.5", "0.1 0.5"] * 3) + "\n"  # 25 columns
    (tmp_path / "labels").mkdir()
    (tmp_path / "ignore").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(triangle + many)
    (tmp_path / "ignore" / "a.txt").write_text(many)
    truth = read_labels(tmp_path / "labels").of(PICTURE, 100, 200)
    np.testing.assert_allclose(truth.xyxy, [[60, 20, 100, 80], [20, 20, 60, 50]], atol=1e-4)
    assert truth.classes.tolist() == [2, 0]
    np.testing.assert_allclose(truth.ignore, [[20, 20, 60, 50]], atol=1e-4)


def test_yolo_as_tools_write_it(tmp_path: Path):
    # A class number as a float, a score, a box rounded to a little beyond the edge.
    (tmp_path / "a.txt").write_text("2.0 0.5 0.5 1.000001 0.4 0.93\n")
    truth = read_labels(tmp_path).of(PICTURE, 100, 200)
    np.testing.assert_allclose(truth.xyxy, [[0, 30, 200, 70]], atol=1e-3)
    assert truth.classes.tolist() == [2]


def test_kitti(tmp_path: Path):
    rows = [("Van", "10 20 30 40"), ("Tram", "1 2 3 4"), ("Cyclist", "5 6 7 8")]
    rows += [("DontCare", "50 60 70 80"), ("Misc", "0 0 9 9")]
    (tmp_path / "a.txt").write_text("".join(KITTI.format(name, box) for name, box in rows))
    truth = read_labels(tmp_path).of(PICTURE, 375, 1242)
    assert truth.classes.tolist() == [2, 6, 0]  # car, train, person
    assert truth.xyxy[0].tolist() == [10, 20, 30, 40]
    assert truth.ignore.tolist() == [[50, 60, 70, 80], [0, 0, 9, 9]]


def test_coco(tmp_path: Path):
    data = {
        "images": [{"id": 7, "file_name": "sub/a.png"}, {"id": 8, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "car"}, {"id": 99, "name": "tree"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 20, 5, 6], "iscrowd": 0},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 50, 60], "iscrowd": 1},
            {"image_id": 7, "category_id": 99, "bbox": [1, 1, 2, 2]},
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(data))
    for source in (path, tmp_path):
        labels = read_labels(source)
        truth = labels.of(PICTURE, 100, 100)
        assert truth.xyxy.tolist() == [[10, 20, 15, 26]]
        assert truth.classes.tolist() == [2]
        assert truth.ignore_classes.tolist() == [2, -1]
        assert labels.has(Path("b.png"))
        assert not labels.has(Path("c.png"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 0.5 0.5\n", "too few"),
        ("car 0.1 0.1 0.1 0.1\n", "neither"),
        ("80 0 0 1 1\n", "class 80"),
        ("2.5 0.5 0.5 0.1 0.1\n", "2.5 is not a whole number"),
        ("2 320 240 64 48\n", "320 is outside 0..1; pixels"),
        ("2 0.5 0.5 nan 0.1\n", "nan is outside 0..1"),
        ("2 0.1 0.1 0.5 0.1 0.5 300\n", "300 is outside 0..1"),
        ("2 0.1 0.1 0.5 0.1 0.5 0.5 0.3\n", "8 columns are neither"),
    ],
)
def test_broken_label_names_file_and_line(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n" + text)
    with pytest.raises(InputError, match=message) as caught:
        read_labels(tmp_path).of(PICTURE, 10, 10)
    assert "a.txt:2" in str(caught.value)


def test_missing_and_foreign_labels(tmp_path: Path):
    with pytest.raises(InputError, match="no such"):
        read_labels(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no label files"):
        read_labels(tmp_path)
    path = tmp_path / "x.json"
    path.write_text('{"boxes": []}')
    with pytest.raises(InputError, match="not a COCO"):
        read_labels(path)
