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


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "EOFError"), (b"this is no checkpoint", "damaged"), (b"PK\x03\x04" * 20, "damaged")],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_corrupt_weights(tmp_path: Path, content: bytes, reason: str, suffix: str):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"broken{suffix} cannot be read as weights") as caught:
        load_detector(f"torchvision:{NAME}@{path}", device="cpu")
    message = str(caught.value)
    assert suffix == ".safetensors" or reason in message
    assert "\n" not in message and "weights_only" not in message


def test_weights_of_something_else(tmp_path: Path):
    import torch

    path = tmp_path / "list.pt"
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match=r"list\.pt does not fit.*91 classes"):
        load_detector(f"torchvision:{NAME}@{path}", device="cpu")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_detector(f"torchvision:{NAME}@{tmp_path}", device="cpu")
