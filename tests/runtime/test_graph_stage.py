"""A recorded stage gives what the stage gives: proved by replaying its operations one by one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rainclear.config import BranchWeights, GateSpec
from rainclear.frame import Frame
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.derain_stage import DerainStage, device_pipeline
from rainclear.runtime.graph_stage import GraphStage
from rainclear.runtime.load import load_model
from rainclear.runtime.recording import RecordingBackend
from rainclear.runtime.stream_backends import CpuBackend, backend_for
from rainclear.runtime.streams import DevicePipeline

RT = NETWORKS["d-daiam-rt"]
GATE = GateSpec(weights_sha256="any", bias=3.0, streaks=BranchWeights(mean=2.0), hold=2)


class Tape(TorchDispatchMode):
    """Keeps every operation with its very tensors, and undoes what it did, as a CUDA graph does.

    Played, each operation runs on the same memory again. Python does not run, so a stage that
    counts, chooses or swaps tensors in Python gives wrong frames.
    """

    def __init__(self):
        super().__init__()
        self.operations, self._known, self._before = [], set(), []

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # or torch's compiler is imported, for nothing

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert func.overloadpacket.__name__ != "_local_scalar_dense", "a graph cannot ask"
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor) and self._is_new(tensor):
                self._before.append((tensor, tensor.clone()))
        out = func(*args, **kwargs)
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._is_new(tensor)
        self.operations.append((func, args, kwargs, out))
        return out

    def _is_new(self, tensor) -> bool:
        address = tensor.untyped_storage().data_ptr()
        if address in self._known:
            return False
        self._known.add(address)
        return True

    def undo(self):
        for tensor, before in self._before:
            tensor.copy_(before)

    def play(self):
        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapeBackend(CpuBackend):
    def __init__(self):
        self.recorded, self.played = 0, 0

    def capture(self, work):
        tape = Tape()
        with tape:
            work()
        tape.undo()
        self.recorded += 1

        def play():
            self.played += 1
            tape.play()

        return play


def clip(picture, count, *, width=64, height=48, cut_at=None, deep=False) -> list[Frame]:
    out = []
    for n in range(count):
        pixels = picture(n, width, height)
        if cut_at is not None and n >= cut_at:
            pixels = 255 - pixels
            pixels[: height // 2] //= 8
        if deep:
            pixels = pixels.astype(np.uint16) * 257 + n
        out.append(Frame(pixels=pixels, pts=n, time_base=Fraction(1, 25), index=n))
    return out


@pytest.fixture(scope="session")
def network(tiny_model):
    torch.set_num_threads(1)
    return load_model(str(tiny_model))


def stage(network, **options):
    return DerainStage(network, RT, device="cpu", precision="fp32", **options)


def same(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert a.metadata["rain_reading"] == b.metadata["rain_reading"]


@pytest.mark.parametrize("kind", [{"cut_at": 5}, {"width": 53, "height": 41}, {"deep": True}])
@pytest.mark.parametrize("gate", [None, GATE])
def test_replayed_frames_are_those_of_the_stage(network, picture, kind, gate):
    frames = clip(picture, 8, **kind)
    backend = TapeBackend()
    recorded = GraphStage(stage(network, gate=gate), backend)
    wanted = DevicePipeline(stage(network, gate=gate), CpuBackend()).stream(frames)
    same(DevicePipeline(recorded, backend).stream(frames), wanted)
    assert (backend.recorded, backend.played) == (1, 6)


def test_a_new_stream_keeps_the_graph_and_forgets_the_frames(network, picture):
    frames = clip(picture, 6)
    backend = TapeBackend()
    pipeline = DevicePipeline(GraphStage(stage(network, gate=GATE), backend), backend)
    first = list(pipeline.stream(frames))
    same(pipeline.stream(frames), first)
    assert (backend.recorded, backend.played) == (1, 4 + 6)


def test_each_size_is_recorded_anew(network, picture):
    frames = clip(picture, 4) + clip(picture, 4, width=40, height=32) + clip(picture, 4)
    backend = TapeBackend()
    wanted = DevicePipeline(stage(network), CpuBackend()).stream(frames)
    same(DevicePipeline(GraphStage(stage(network), backend), backend).stream(frames), wanted)
    assert (backend.recorded, backend.played) == (3, 6)


def test_a_stage_that_lives_in_python_would_be_caught():
    class Counts:
        resident = ()

        def __init__(self):
            self.count = 0

        def reset(self):
            self.count = 0

        def __call__(self, source, result, reading):
            self.count += 1
            result.copy_(source + self.count)
            reading.zero_()

    frames = [Frame(pixels=np.zeros((2, 2, 3), np.uint8), index=n) for n in range(5)]
    backend = TapeBackend()
    out = DevicePipeline(GraphStage(Counts(), backend), backend).stream(frames)
    assert [int(f.pixels[0, 0, 0]) for f in out] == [1, 2, 3, 3, 3]


def test_what_cannot_be_recorded_runs_without(network, picture):
    class Unable(CpuBackend):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    frames = clip(picture, 5)
    wanted = list(DevicePipeline(stage(network), CpuBackend()).stream(frames))
    pipeline = DevicePipeline(GraphStage(stage(network), Unable()), Unable())
    with pytest.warns(UserWarning, match="not permitted when stream is capturing; it runs") as told:
        same(pipeline.stream(frames), wanted)
    assert len(told) == 1


def test_the_pipeline_of_a_model_is_a_graph_stage(tiny_model, picture, derainer):
    frames = clip(picture, 4)
    for graphs in (True, False):
        pipeline = device_pipeline(str(tiny_model), device="cpu", precision="fp32", graphs=graphs)
        assert isinstance(pipeline._stage, GraphStage) == graphs
        derainer.reset()
        for got, frame in zip(pipeline.stream(frames), frames, strict=True):
            np.testing.assert_array_equal(got.pixels, derainer.process(frame.pixels))


def test_the_buffers_of_the_graph_are_named_for_the_race_detector(network, picture):
    backend = RecordingBackend()
    recorded = GraphStage(stage(network), backend)
    before = len(recorded.resident)
    list(DevicePipeline(recorded, backend).stream(clip(picture, 3)))
    # Two tensors of state, three of the graph.
    assert len(recorded.resident) == before + 2 + 3


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_cuda_graphs_give_the_frames_of_the_stage(tiny_model, picture, precision):
    frames = clip(picture, 16, cut_at=9)
    outputs = []
    for graphs in (False, True):
        inner = DerainStage(
            load_model(str(tiny_model)), RT, device="cuda", precision=precision, gate=GATE
        )
        backend = backend_for(inner.device)
        runs = GraphStage(inner, backend) if graphs else inner
        outputs.append(list(DevicePipeline(runs, backend).stream(frames)))
        if graphs:
            assert runs._replay is not None
    for a, b in zip(*outputs, strict=True):
        assert np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max() <= 1


@pytest.mark.gpu
def test_cuda_graphs_of_several_streams_are_recorded_beside_each_other(tiny_model, picture):
    frames = clip(picture, 12)
    ready = threading.Barrier(4)

    def derain(graphs):
        inner = DerainStage(load_model(str(tiny_model)), RT, device="cuda", precision="fp32")
        backend = backend_for(inner.device)
        runs = GraphStage(inner, backend) if graphs else inner
        pipeline = DevicePipeline(runs, backend)
        if graphs:
            ready.wait(60)
        return list(pipeline.stream(frames)), runs

    wanted, _ = derain(False)
    with ThreadPoolExecutor(4) as pool:
        for out, runs in pool.map(derain, [True] * 4):
            assert runs._replay is not None
            for a, b in zip(out, wanted, strict=True):
                assert np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max() <= 1


@pytest.mark.gpu
def test_cuda_graphs_follow_a_change_of_size(tiny_model, picture):
    frames = clip(picture, 6)
    smaller = [replace(f, pixels=np.ascontiguousarray(f.pixels[:-9, :-3])) for f in frames]
    sizes = [*frames, *smaller, *frames]
    outputs = []
    for graphs in (False, True):
        inner = DerainStage(load_model(str(tiny_model)), RT, device="cuda", precision="fp32")
        backend = backend_for(inner.device)
        runs = GraphStage(inner, backend) if graphs else inner
        outputs.append(list(DevicePipeline(runs, backend).stream(sizes)))
    for a, b in zip(*outputs, strict=True):
        assert a.pixels.shape == b.pixels.shape
        assert np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max() <= 1
