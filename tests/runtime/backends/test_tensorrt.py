import pytest

from rainclear.runtime.backends.onnxruntime import OnnxRuntimeBackend
from rainclear.runtime.backends.tensorrt import TensorRtBackend

PROVIDER = "TensorrtExecutionProvider"


@pytest.fixture
def options_for(monkeypatch):
    """The provider's options when a model is loaded, without a GPU."""
    monkeypatch.setattr(OnnxRuntimeBackend, "_load", lambda self, *_: self._providers[0])
    backend = object.__new__(TensorRtBackend)
    backend._providers = [(PROVIDER, {"device_id": 1}), "CPUExecutionProvider"]

    def options(model):
        name, found = backend._load(model, ())
        assert name == PROVIDER and found["device_id"] == 1
        return found

    return options


def test_each_model_has_engines_of_its_own(options_for, cache):
    first, other = options_for(b"weights"), options_for(b"others")
    assert first["trt_engine_cache_path"] != other["trt_engine_cache_path"]
    assert first["trt_timing_cache_path"] == other["trt_timing_cache_path"]  # by layer
    assert options_for(b"weights") == first and first["trt_engine_cache_enable"]
    assert len([f for f in (cache / "tensorrt").iterdir() if f.is_dir()]) == 2


def test_without_a_cache_no_engine_is_kept(options_for, monkeypatch):
    monkeypatch.setenv("RAINCLEAR_CACHE", "")
    assert options_for(b"weights") == {"device_id": 1}
