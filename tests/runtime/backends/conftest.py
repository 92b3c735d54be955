import importlib
import sys

import pytest
import torch

from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends import auto
from rainclear.runtime.backends.auto import Subject
from rainclear.runtime.backends.measure import Timing
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


@pytest.fixture
def subject(cpu):
    return Subject(model="tiny-123", device=cpu, precision="fp32")


@pytest.fixture
def timed(monkeypatch):
    """Lets the tests say how fast each backend is."""
    calls = []

    def set_times(**ms):
        def fake(network, descriptor, size, *, names, device, precision):
            calls.append(size)
            return [
                Timing(backend=n, ms=ms[n]) if n in ms else Timing(backend=n, problem="missing")
                for n in names
            ]

        monkeypatch.setattr(auto, "measure", fake)
        return calls

    return set_times


@pytest.fixture
def break_package(monkeypatch, tmp_path):
    """Puts a package of that name before the real one; without code, an empty folder."""

    def put(name, code):
        folder = tmp_path / "broken" / name
        folder.mkdir(parents=True)
        if code is not None:
            (folder / "__init__.py").write_text(code)
            monkeypatch.syspath_prepend(folder.parent)
        else:
            monkeypatch.setattr(sys, "path", [str(folder.parent)])
        for module in [m for m in sys.modules if m.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        importlib.invalidate_caches()

    return put
