from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rainclear.detection import COCO_NAMES, Detector, load_detector
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


def test_broken_weights(tmp_path: Path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"this is no checkpoint")
    with pytest.raises(ModelError, match=r"broken\.pt cannot be read"):
        load_detector(path)


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
