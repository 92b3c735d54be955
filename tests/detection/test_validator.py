"""Validating through deraining equals deraining the files first and validating afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from rainclear import Derainer
from rainclear.config import GateSpec
from rainclear.errors import InputError, ModelError

pytest.importorskip("ultralytics")

SIZES = [(96, 64), (64, 80), (40, 50)]  # width, height; above and below the detector's


class DataSet:
    """A folder of pictures with one label each, as ultralytics wants it."""

    def __init__(self, root: Path, names: list[str], **extra: Any) -> None:
        self.root, self.yaml = root, root / "data.yaml"
        for kind in ("images", "labels"):
            (root / kind).mkdir(parents=True)
        about = {"path": str(root), "train": "images", "val": "images", "names": names}
        self.yaml.write_text(yaml.safe_dump(about | extra))

    def add(self, bgr: np.ndarray, labels: str) -> None:
        name = f"{len(list((self.root / 'images').iterdir()))}"
        assert cv2.imwrite(str(self.root / "images" / f"{name}.png"), bgr)
        (self.root / "labels" / f"{name}.txt").write_text(labels)

    def derained(self, root: Path, derainer: Derainer) -> "DataSet":
        """The same with pictures that were derained, each for itself."""
        other = DataSet(root, yaml.safe_load(self.yaml.read_text())["names"])
        for file in sorted((self.root / "images").iterdir()):
            derainer.reset()
            label = (self.root / "labels" / f"{file.stem}.txt").read_text()
            other.add(derainer(cv2.imread(str(file))), label)
        return other


@pytest.fixture
def pictures(tmp_path: Path) -> DataSet:
    from rainclear.detection import COCO_NAMES

    made, rng = DataSet(tmp_path / "rainy", list(COCO_NAMES)), np.random.default_rng(2)
    for width, height in SIZES:
        small = rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
        made.add(cv2.resize(small, (width, height)), "2 0.5 0.5 0.4 0.4\n")
    return made


@pytest.fixture
def model(random_yolo: Path) -> Any:
    from rainclear.detection import load_yolo

    return load_yolo(random_yolo)


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., Any]:
    """Runs ``model.val``; returns the metrics, and what the detector saw by the file's name."""

    def run(model: Any, pictures: DataSet, validator: type | None = None, **options: Any) -> Any:
        from ultralytics.models.yolo.detect import DetectionValidator

        seen: dict[str, torch.Tensor] = {}

        class Watched(validator or DetectionValidator):  # type: ignore[misc]
            def preprocess(self, batch: Any) -> Any:
                batch = super().preprocess(batch)
                seen.update(
                    {Path(f).name: x for f, x in zip(batch["im_file"], batch["img"], strict=True)}
                )
                return batch

        common = {"imgsz": 64, "batch": 2, "device": "cpu", "plots": False, "verbose": False}
        common |= {"project": str(tmp_path / "runs"), "data": str(pictures.yaml)}
        return model.val(validator=Watched, **(common | options)), seen

    return run


def gate_of(tiny_model: Path, bias: float) -> GateSpec:
    from rainclear.zoo import find_model

    weights = find_model(str(tiny_model)).spec.weights
    assert weights is not None
    return GateSpec(weights_sha256=weights.sha256, bias=bias)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    assert a.keys() == b.keys() and len(a) == len(SIZES)
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_detector_sees_what_it_would_of_derained_files(
    pictures: DataSet,
    model: Any,
    validate: Callable[..., Any],
    tiny_model: Path,
    derainer: Derainer,
    tmp_path: Path,
):
    from rainclear.detection import DerainValidator

    validator = DerainValidator.configured(str(tiny_model), precision="fp32")
    metrics, seen = validate(model, pictures, validator)
    expected, wanted = validate(model, pictures.derained(tmp_path / "derained", derainer))
    assert same(seen, wanted)
    assert not same(seen, validate(model, pictures)[1])
    assert metrics.box.map == pytest.approx(expected.box.map)
    assert {Path(file).name for file in metrics.readings} == seen.keys()
    assert all(reading.open and 0 <= reading.score <= 1 for reading in metrics.readings.values())


def test_dry_pictures_pass_bit_for_bit(
    pictures: DataSet, model: Any, validate: Callable[..., Any], tiny_model: Path
):
    from rainclear.detection import DerainValidator

    gate = gate_of(tiny_model, -99)
    validator = DerainValidator.configured(str(tiny_model), precision="fp32", gate=gate)
    metrics, seen = validate(model, pictures, validator)
    assert same(seen, validate(model, pictures)[1])
    assert [reading.open for reading in metrics.readings.values()] == [False] * len(SIZES)


def test_settings_that_would_pass_it_by_are_overruled(
    pictures: DataSet, model: Any, validate: Callable[..., Any], tiny_model: Path
):
    from rainclear.detection import DerainValidator

    validator = DerainValidator.configured(str(tiny_model), precision="fp32")
    plain = validate(model, pictures, validator)[1]
    assert same(plain, validate(model, pictures, validator, cache="ram", workers=2)[1])


def test_nothing_is_downloaded_or_run(
    model: Any, validate: Callable[..., Any], tiny_model: Path, tmp_path: Path
):
    from rainclear.detection import DerainValidator

    marker = tmp_path / "ran"
    script = f"open({str(marker)!r}, 'w')"
    data = DataSet(tmp_path / "d", ["car"], val="not/there", download=script)
    validator = DerainValidator.configured(str(tiny_model))
    with pytest.raises(InputError, match="images not found"):
        validate(model, data, validator)
    assert not marker.exists()
    for name in ("https://example.org/coco.yaml", "ul://somebody/datasets/x", "set.ndjson"):
        with pytest.raises(InputError, match="give the YAML file"):
            validate(model, data, validator, data=name)


def test_ultralytics_is_left_as_it_was():
    from ultralytics.data import utils

    from rainclear.detection.quiet import without_downloads

    before = utils.safe_download, utils.check_det_dataset
    with without_downloads(), pytest.raises(ModelError, match="would have to be downloaded"):
        utils.safe_download(url="x.zip")
    assert (utils.safe_download, utils.check_det_dataset) == before


def test_real_weights(
    real_weights: Callable[[str], Path],
    street: np.ndarray,
    validate: Callable[..., Any],
    tmp_path: Path,
):
    from rainclear.detection import DerainValidator, load_yolo

    yolo = load_yolo(real_weights("yolo11n.pt"))
    bgr = cv2.cvtColor(street, cv2.COLOR_RGB2BGR)
    (found,) = yolo.predict(bgr, device="cpu", imgsz=320, verbose=False)
    boxes = zip(found.boxes.cls.tolist(), found.boxes.xywhn.tolist(), strict=True)
    labels = "".join(f"{int(c)} {' '.join(map(str, box))}\n" for c, box in boxes)
    rng, data = np.random.default_rng(0), DataSet(tmp_path / "rainy", list(yolo.names.values()))
    for amount in (0, 300, 600):
        rainy = bgr.copy()
        for x, y in rng.integers(0, bgr.shape[1], (amount, 2)).tolist():
            cv2.line(rainy, (x, y), (x + 3, y + 24), (210, 210, 210), 2)
        data.add(rainy, labels)

    options = {"imgsz": 320, "batch": 1}
    validator = DerainValidator.configured(gate=False, precision="fp32")
    metrics, _ = validate(yolo, data, validator, **options)
    derainer = Derainer(device="cpu", precision="fp32")
    expected, _ = validate(yolo, data.derained(tmp_path / "derained", derainer), **options)
    assert metrics.box.map > 0.2
    assert metrics.box.map == pytest.approx(expected.box.map, abs=1e-9)
    assert metrics.box.map != validate(yolo, data, **options)[0].box.map
