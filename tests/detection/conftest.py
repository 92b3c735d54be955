"""Detectors for tests: a YOLO with random weights, and the real ones where they are at hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

DETECTORS = Path(__file__).parents[3] / "shared" / "detectors"


@pytest.fixture(scope="session")
def random_yolo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO11n that was never trained; it finds something everywhere, with tiny scores."""
    pytest.importorskip("ultralytics")
    import torch

    from rainclear.detection import COCO_NAMES
    from rainclear.detection.quiet import import_ultralytics

    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("yolo") / "random.pt"
    model = import_ultralytics().YOLO("yolo11n.yaml")
    model.model.names = dict(enumerate(COCO_NAMES))
    # Without statistics of its own, hardly anything of the picture would reach the output.
    for layer in model.model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        model.model.train()(torch.rand(4, 3, 64, 64))
    model.save(path)
    return path


@pytest.fixture
def real_weights() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        path = DETECTORS / name
        if not path.is_file():
            pytest.skip(f"needs {name} in the shared folder")
        pytest.importorskip("ultralytics")
        return path

    return find


@pytest.fixture
def street() -> np.ndarray:
    """The photograph of a bus and people that comes with ultralytics, H×W×3 RGB."""
    import importlib.util

    import cv2

    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        pytest.skip("needs ultralytics")
    picture = cv2.imread(str(Path(spec.origin).parent / "assets" / "bus.jpg"))
    if picture is None:
        pytest.skip("this ultralytics has no bus.jpg")
    return cv2.cvtColor(cv2.resize(picture, None, fx=0.4, fy=0.4), cv2.COLOR_BGR2RGB)
