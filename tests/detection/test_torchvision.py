from pathlib import Path

import numpy as np
import pytest

from rainclear.detection import load_detector
from rainclear.errors import ModelError

detection = pytest.importorskip("torchvision.models.detection")
NAME = "ssdlite320_mobilenet_v3_large"


def test_random_weights_from_a_file(tmp_path: Path, street: np.ndarray):
    import torch

    torch.manual_seed(0)
    network = detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=91
    )
    path = tmp_path / "w.pth"
    torch.save(network.state_dict(), path)
    found = load_detector(f"torchvision:{NAME}@{path}", device="cpu", confidence=0.0)([street])[0]
    expected = network.eval()([torch.from_numpy(street).permute(2, 0, 1).float() / 255])[0]
    # Numbers that COCO never used are dropped.
    assert 0 < len(found) <= len(expected["scores"])
    assert found.classes.max() < 80
    assert np.isin(found.scores, expected["scores"].detach().numpy()).all()
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    with pytest.raises(ModelError, match="does not fit"):
        load_detector(f"torchvision:{NAME}@{other}", device="cpu")
    with pytest.raises(ModelError, match="no detector 'ssd'"):
        load_detector(f"torchvision:ssd@{path}", device="cpu")
