import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rainclear.detection import COCO_NAMES, Detector, load_detector, load_yolo
from rainclear.errors import ModelError

pytest.importorskip("ultralytics")


@pytest.mark.parametrize("name", ["yolo11n.pt", "yolo26n.pt"])
def test_real_weights(name: str, real_weights: Callable[[str], Path], street: np.ndarray):
    detector = load_detector(real_weights(name), device="cpu")
    assert isinstance(detector, Detector)
    (found,) = detector([street])
    names = [COCO_NAMES[number] for number in found.classes]
    assert "bus" in names
    assert names.count("person") >= 3
    bus = found.xyxy[names.index("bus")]
    height, width = street.shape[:2]
    assert bus[2] - bus[0] > 0.8 * width  # in native pixels: it fills the picture
    assert bus[3] - bus[1] < 0.6 * height


def test_channels_and_batches(random_yolo: Path):
    detector = load_detector(random_yolo, device="cpu", confidence=1e-6, size=64)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (48, w, 3), np.uint8) for w in (64, 64, 96)]
    pictures[1][..., 0] = 250
    together = detector(pictures)
    alone = [detector([picture])[0] for picture in pictures]
    assert len(together) == 3
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.xyxy, b.xyxy, atol=0.01)
    swapped = detector([pictures[1][..., ::-1].copy()])[0]
    assert swapped.scores.tolist() != alone[1].scores.tolist()


@pytest.mark.parametrize("content", [b"", b"this is no checkpoint", b"PK\x03\x04" * 20])
def test_broken_weights(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.pt cannot be read.*damaged") as caught:
        load_detector(path)
    assert "trust_pickle" not in str(caught.value)  # it would not help


def test_weights_cut_off(tmp_path: Path, random_yolo: Path):
    path = tmp_path / "half.pt"
    path.write_bytes(random_yolo.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"half\.pt cannot be read.*damaged") as caught:
        load_detector(path)
    assert "trust_pickle" not in str(caught.value)


def test_model_that_cannot_be_run(tmp_path: Path, street: np.ndarray):
    path = tmp_path / "x_openvino_model"
    path.mkdir()
    (path / "x.xml").write_text("this is no network")
    with pytest.raises(ModelError, match=r"x_openvino_model cannot be run.*export it anew"):
        load_detector(path, device="cpu")([street])


def test_later_failures_are_not_blamed_on_the_file(random_yolo: Path):
    detector = load_detector(random_yolo, device="cpu", size=64)
    picture = np.zeros((64, 64, 3), np.uint8)
    detector([picture])
    detector._model.predict = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        detector([picture])


@pytest.mark.parametrize("value", [None, ":16:8"])
def test_the_environment_is_left_as_it_was(
    random_yolo: Path, value: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if value is not None:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", value)
    before = dict(os.environ)
    load_yolo(random_yolo)
    assert dict(os.environ) == before


class Payload:
    """A pickle that runs code."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return Path.touch, (self.flag,)


def test_code_in_weights_is_not_run(tmp_path: Path):
    import torch

    from rainclear.detection.quiet import import_ultralytics, safe_loading

    import_ultralytics()
    from ultralytics.nn import tasks

    if not hasattr(tasks, "SAFE_LOAD"):
        pytest.skip("this ultralytics cannot load safely")
    path, flag = tmp_path / "evil.pt", tmp_path / "ran"
    torch.save({"model": Payload(flag)}, path)
    with pytest.raises(ModelError, match="trust_pickle"):
        load_detector(path)
    assert not flag.exists()
    with safe_loading(enabled=False):  # the file is as bad as it claims to be
        torch.load(path, weights_only=False)
    assert flag.exists()
