"""The device pipeline gives what the Derainer gives, on every backend."""

import ast
import importlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from rainclear.errors import DeviceError, InputError, ModelError, StageError
from rainclear.frame import Frame
from rainclear.nn.registry import NETWORKS, Network
from rainclear.runtime.derain_stage import DerainStage
from rainclear.runtime.load import load_model
from rainclear.runtime.recording import RecordingBackend
from rainclear.runtime.stream_backends import CpuBackend, CudaBackend, backend_for
from rainclear.runtime.streams import DevicePipeline

RT = NETWORKS["d-daiam-rt"]
BACKENDS = [CpuBackend, RecordingBackend]


@pytest.fixture(scope="session")
def stage(tiny_model):
    torch.set_num_threads(1)
    return DerainStage(load_model(str(tiny_model)), RT, device="cpu", precision="fp32")


def clip(picture, count=5, *, width=64, height=48, deep=False, cut_at=None) -> list[Frame]:
    out = []
    for n in range(count):
        pixels = picture(n, width, height)
        if cut_at is not None and n >= cut_at:
            pixels = 255 - pixels
            pixels[: height // 2] //= 8
        if deep:
            pixels = pixels.astype(np.uint16) * 257 + n
        out.append(Frame(pixels=pixels, pts=7 * n, time_base=Fraction(1, 90), index=n))
    return out


def same(got: list[Frame], wanted: list[Frame]) -> None:
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a.pixels.dtype == b.pixels.dtype
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert a.metadata["rain_score"] == pytest.approx(b.metadata["rain_score"], abs=1e-6)
        assert replace(a, pixels=None, metadata={}) == replace(b, pixels=None, metadata={})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("slots", [1, 3])
def test_frames_are_those_of_the_derainer(stage, derainer, picture, backend, slots):
    frames = clip(picture)
    pipeline = DevicePipeline(stage, backend(), slots=slots)
    same(list(pipeline.stream(frames)), list(derainer.stream(frames)))


@pytest.mark.parametrize("kind", [{"deep": True}, {"width": 53, "height": 41}, {"cut_at": 2}])
def test_deep_and_odd_frames_and_cuts(stage, derainer, picture, kind):
    frames = clip(picture, 4, **kind)
    wanted = list(derainer.stream(frames))
    same(list(DevicePipeline(stage, CpuBackend()).stream(frames)), wanted)


def test_a_cut_drops_the_state(stage, picture):
    frames = clip(picture, 4, cut_at=2)
    pipeline = DevicePipeline(stage, CpuBackend())
    whole = list(pipeline.stream(frames))
    same(whole[2:], list(pipeline.stream(frames[2:])))
    smooth = clip(picture, 4)
    carried = list(pipeline.stream(smooth))[2:]
    alone = list(pipeline.stream(smooth[2:]))
    assert any((a.pixels != b.pixels).any() for a, b in zip(carried, alone, strict=True))


def test_sizes_may_change_on_the_way(stage, derainer, picture):
    frames = clip(picture, 2) + clip(picture, 2, width=40, height=32) + clip(picture, 1)
    same(list(DevicePipeline(stage, CpuBackend()).stream(frames)), list(derainer.stream(frames)))


def test_results_come_while_input_is_still_coming(stage, picture):
    given = []

    def source():
        for frame in clip(picture, 4):
            given.append(frame.index)
            yield frame

    results = DevicePipeline(stage, CpuBackend()).stream(source())
    assert next(results).index == 0
    assert given == [0]


def test_no_more_frames_are_under_way_than_allowed(picture):
    class Copy:
        resident = ()

        def reset(self): ...

        def __call__(self, source, result, score):
            result.copy_(source)
            score.zero_()

    given = []

    def source():
        for frame in clip(picture, 8):
            given.append(frame.index)
            yield frame

    backend = RecordingBackend({"upload": 1.0, "compute": 1.0, "download": 1.0})
    results = DevicePipeline(Copy(), backend, slots=2, ahead=3).stream(source())
    assert next(results).index == 0
    assert given == [0, 1, 2]


def test_results_do_not_share_memory_with_the_slots(stage, picture):
    first, *_ = results = list(DevicePipeline(stage, CpuBackend(), slots=1).stream(clip(picture)))
    assert not any(np.shares_memory(first.pixels, other.pixels) for other in results[1:])


def test_a_tap_sees_the_derained_pixels_on_the_device(stage, picture):
    seen = []
    pipeline = DevicePipeline(stage, CpuBackend(), tap=lambda t: seen.append(t.clone().numpy()))
    results = list(pipeline.stream(clip(picture, 3)))
    for tapped, result in zip(seen, results, strict=True):
        np.testing.assert_array_equal(tapped, result.pixels)


def test_a_device_that_does_not_answer_ends_in_a_time_out(stage, picture):
    class Dead(CpuBackend):
        def passed(self, event):
            return False

        def host_wait(self, event, timeout):
            assert timeout == 1.5
            return False

    with pytest.raises(StageError, match=r"frame 0 within 1\.5 seconds"):
        list(DevicePipeline(stage, Dead(), timeout=1.5).stream(clip(picture)))


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), [[0]]]
)
def test_what_is_no_frame_is_refused(stage, pixels):
    with pytest.raises(InputError, match="H×W×3 array of uint8 or uint16"):
        list(DevicePipeline(stage, CpuBackend()).stream([Frame(pixels=pixels)]))


def test_wrong_counts_and_devices_are_refused(stage):
    with pytest.raises(ValueError, match="at least 1"):
        DevicePipeline(stage, CpuBackend(), slots=0)
    with pytest.raises(DeviceError, match="no CUDA streams"):
        CudaBackend(torch.device("cpu"))
    assert isinstance(backend_for(torch.device("cpu")), CpuBackend)


def test_networks_with_state_can_begin_it_anew():
    for network in NETWORKS.values():
        if network.stateful:
            assert hasattr(network.build(), "initial_state")
    bad = Network(name="bad", build=torch.nn.Identity, summary="", stateful=True)
    with pytest.raises(ModelError, match="initial_state"):
        DerainStage(torch.nn.Identity(), bad, device="cpu")


def test_a_stateless_network_works_too(picture):
    from rainclear.nn.output import Derained, Stage

    class Darker(torch.nn.Module):
        def forward(self, x, state=None):
            return Derained(image=x * 0.5, state=None, stages=(Stage(x, None, None),))

    stage = DerainStage(Darker(), Network(name="darker", build=Darker, summary=""), device="cpu")
    frames = clip(picture, 2)
    for before, after in zip(
        frames, DevicePipeline(stage, CpuBackend()).stream(frames), strict=True
    ):
        np.testing.assert_allclose(after.pixels, before.pixels / 2, atol=0.5)
        assert after.metadata["rain_score"] == 0.0


def test_steady_work_has_no_synchronize_and_no_record_stream():
    """By name: what hides a missing wait, or holds up the host, is not in the code at all."""
    names = "streams", "stream_backends", "slots", "derain_stage", "device_gate", "graph_stage"
    for name in names:
        source = Path(importlib.import_module(f"rainclear.runtime.{name}").__file__).read_text()
        used = {
            node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)
        }
        forbidden = {"synchronize", "record_stream", "wait_stream"}
        # A lane begins after what the caller's stream was asked, once.
        allowed = {"wait_stream"} if name == "stream_backends" else set()
        assert used & forbidden <= allowed, name
        if name != "stream_backends":
            assert not used & {"cuda", "Stream", "Event"}, name


@pytest.mark.gpu
@pytest.mark.parametrize("slots", [1, 3])
def test_cuda_gives_the_frames_of_the_cpu(tiny_model, derainer, picture, slots):
    frames = clip(picture, 12, cut_at=6)
    stage = DerainStage(load_model(str(tiny_model)), RT, device="cuda", precision="fp32")
    pipeline = DevicePipeline(stage, backend_for(stage.device), slots=slots)
    for got, wanted in zip(pipeline.stream(frames), derainer.stream(frames), strict=True):
        difference = np.abs(got.pixels.astype(int) - wanted.pixels.astype(int))
        assert difference.max() <= 2
        assert difference.mean() < 0.05


@pytest.mark.gpu
def test_cuda_keeps_the_order_under_load(tiny_model, picture):
    """Many frames whose content says their number, through a stage that takes its time."""

    class Slow:
        resident = ()

        def reset(self): ...

        def __call__(self, source, result, score):
            torch.cuda._sleep(200_000)
            result.copy_(255 - source)
            score.copy_(source.float().mean())

    frames = [Frame(pixels=np.full((360, 640, 3), n % 251, np.uint8), index=n) for n in range(300)]
    backend = backend_for(torch.device("cuda"))
    for n, frame in enumerate(DevicePipeline(Slow(), backend).stream(frames)):
        assert (frame.pixels == 255 - n % 251).all()
        assert frame.metadata["rain_score"] == pytest.approx(n % 251)


@pytest.mark.gpu
def test_cuda_memory_is_flat(tiny_model, picture):
    stage = DerainStage(load_model(str(tiny_model)), RT, device="cuda")
    pipeline = DevicePipeline(stage, backend_for(stage.device))
    for _ in pipeline.stream(clip(picture, 8)):
        pass
    before = torch.cuda.memory_allocated()
    for _ in pipeline.stream(clip(picture, 30)):
        pass
    assert torch.cuda.memory_allocated() <= before


@pytest.mark.gpu
def test_cuda_buffers_do_not_lie_in_memory_that_is_still_read():
    """What the caller gave back may have kernels queued that read it."""

    class Copy:
        resident = ()

        def reset(self): ...

        def __call__(self, source, result, reading):
            result.copy_(source)
            reading.zero_()

    pipeline = DevicePipeline(Copy(), backend_for(torch.device("cuda")), slots=2)
    before = torch.full((360, 640, 3), 7, dtype=torch.uint8, device="cuda")
    seen = torch.zeros_like(before)
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)
    seen.copy_(before)
    del before
    frames = [Frame(pixels=np.full((360, 640, 3), 9, np.uint8), index=n) for n in range(4)]
    assert all((frame.pixels == 9).all() for frame in pipeline.stream(frames))
    torch.cuda.synchronize()
    assert bool((seen == 7).all())
