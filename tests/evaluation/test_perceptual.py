import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rainclear.evaluation.perceptual import find_lpips

CPU = torch.device("cpu")


@pytest.fixture
def lpips(monkeypatch, tmp_path):
    """A stand-in for the package, which notes how it was called."""
    calls = []

    class Network(torch.nn.Module):
        def __init__(self, **options) -> None:
            super().__init__()
            calls.append(options)

        def forward(self, a, b):
            calls.append((a, b))
            return (a - b).abs().mean()

    module = SimpleNamespace(LPIPS=Network, __spec__=object())
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(url="https://example.org/alexnet-1.pth"))
    monkeypatch.setitem(sys.modules, "lpips", module)
    monkeypatch.setitem(sys.modules, "torchvision.models", SimpleNamespace(AlexNet_Weights=weights))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return calls


def test_without_the_package(monkeypatch) -> None:
    found = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == "lpips" else found(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    assert find_lpips(CPU) == (None, None)


def test_a_missing_backbone_is_named_and_not_fetched(lpips, tmp_path) -> None:
    measure, note = find_lpips(CPU)
    assert measure is None and lpips == []
    assert note and str(tmp_path / "checkpoints" / "alexnet-1.pth") in note


def test_with_the_backbone(lpips, tmp_path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-1.pth").touch()
    measure, note = find_lpips(CPU)
    assert measure and note is None and lpips == [{"net": "alex", "verbose": False}]
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert measure(white, black) == 2
    a, b = lpips[1]
    assert a.shape == (1, 3, 4, 5) and float(a.min()) == 1 and float(b.max()) == -1
