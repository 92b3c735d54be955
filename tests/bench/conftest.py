"""One benchmark on 64×64 that the tests look at, in this process for speed."""

from pathlib import Path

import pytest

from rainclear.bench import bench, ceiling, endtoend, growth, isolate, quality, timing
from rainclear.bench.plan import BenchOptions


def here(patch: pytest.MonkeyPatch) -> None:
    """Measure in this process, whose allocator stays as it is, and little of everything."""
    patch.setattr(isolate, "call", lambda function, *args, **kwargs: function(*args, **kwargs))
    patch.setattr(bench, "cores_in_use", lambda: 0.0)
    patch.setattr(timing, "keep_memory", lambda: False)
    patch.setattr(timing, "keep_freed_memory", lambda: False)
    patch.setattr(ceiling, "_CPU_WORK", 1e6)
    patch.setattr(growth, "SIZES", ((24, 32), (48, 64)))
    patch.setattr(growth, "LENGTHS", (2, 5))
    patch.setattr(endtoend, "_OVER", 1)
    patch.setattr(quality, "_SIZE", (48, 64))
    patch.setattr(quality, "_FRAMES", 3)


@pytest.fixture
def in_this_process(monkeypatch):
    here(monkeypatch)


@pytest.fixture(scope="session")
def told() -> list[str]:
    """What the benchmark said that it is doing."""
    return []


@pytest.fixture(scope="session")
def result(tiny_model: Path, told: list[str]):
    """The tiny model and one without weights, PyTorch and ONNX Runtime, the reference on both."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    options = BenchOptions(
        models=(str(tiny_model), "dam"),
        backends=("eager", "onnxruntime"),
        size=(60, 64),
        device="cpu",
        precision="fp32",
        frames=3,
        seconds=0.0,
        rounds=2,
        clip_frames=4,
        prenet="same",
    )
    with pytest.MonkeyPatch.context() as patch:
        here(patch)
        return bench.run_bench(options, told.append)
