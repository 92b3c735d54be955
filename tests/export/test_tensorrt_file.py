import importlib.util
import sys
from enum import IntEnum
from types import SimpleNamespace

import pytest
import torch

from rainclear.errors import DeviceError
from rainclear.export import tensorrt_file
from rainclear.export.tensorrt_file import TensorRtFile, _scaled
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends.graph import Graph, example_inputs, signature_of
from rainclear.runtime.load import load_single

has_onnx = importlib.util.find_spec("onnx") is not None


class Flag(IntEnum):
    STRONGLY_TYPED = 1


class FakeTensorRt:
    """What the build calls, and what it was called with."""

    NetworkDefinitionCreationFlag = Flag

    def __init__(self):
        self.flags, self.parsed = 0, b""
        self.Logger = type("Logger", (), {"WARNING": 0, "__init__": lambda self, level: None})

    def Builder(self, _):
        def create_network(flags):
            self.flags = flags

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=lambda: SimpleNamespace(),  # without any flag to set
            build_serialized_network=lambda network, config: b"engine",
        )

    def OnnxParser(self, network, _):
        def parse(model):
            self.parsed = model
            return True

        return SimpleNamespace(parse=parse)

    def Runtime(self, _):
        engine = SimpleNamespace(create_execution_context=lambda: None)
        return SimpleNamespace(deserialize_cuda_engine=lambda _: engine)


@pytest.mark.skipif(not has_onnx, reason="not installed: onnx")
@pytest.mark.parametrize("half", [False, True])
def test_an_engine_computes_in_what_was_traced(tiny_model, monkeypatch, half):
    import onnx

    fake = FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(tensorrt_file, "require_extra", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    network = load_single(str(tiny_model))
    signature = signature_of(network, NETWORKS["d-daiam-rt"])
    inputs = example_inputs(network, (1, 48, 64))
    graph = Graph(network, signature, half=half).eval()
    TensorRtFile.build(graph, inputs, dynamic=False, multiple=8)
    assert fake.flags == 1 << Flag.STRONGLY_TYPED
    model = onnx.load_model_from_string(fake.parsed)
    kernels = {t.data_type for t in model.graph.initializer if len(t.dims) == 4}
    assert kernels == {onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT}
    outside = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    assert outside == {onnx.TensorProto.FLOAT}


def test_half_engines_are_traced_in_half(export, monkeypatch):
    class SeenError(Exception):
        pass

    def build(graph, inputs, **_):
        raise SeenError(graph.half_precision)

    monkeypatch.setattr(TensorRtFile, "build", build)
    for half in (False, True):
        with pytest.raises(SeenError, match=str(half)):
            export("tensorrt", half=half)


def test_without_a_gpu(export, monkeypatch):
    monkeypatch.setattr(tensorrt_file, "require_extra", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="there is none"):
        export("tensorrt")


def test_shapes_of_a_dynamic_engine():
    frame, hidden = torch.zeros(1, 3, 720, 1280), torch.zeros(1, 16, 90, 160)
    assert _scaled(frame, frame, 0.25, 8) == (1, 3, 176, 320)
    assert _scaled(frame, hidden, 0.25, 8) == (1, 16, 22, 40)
    assert _scaled(frame, hidden, 2.0, 8) == (1, 16, 180, 320)
