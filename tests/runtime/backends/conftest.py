import pytest
import torch

from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends import auto
from rainclear.runtime.load import load_model


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache folder of its own, and nothing remembered in the process."""
    monkeypatch.setenv("RAINCLEAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(auto, "_IN_MEMORY", {})
    return tmp_path / "cache"


@pytest.fixture
def network(tiny_model):
    return load_model(str(tiny_model))


@pytest.fixture(scope="session")
def descriptor():
    return NETWORKS["d-daiam-rt"]


@pytest.fixture
def cpu():
    return torch.device("cpu")
