"""The rain gate on the device decides as the one on the host, and asks the device for nothing."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from rainclear.config import BranchWeights, GateSpec
from rainclear.frame import Frame
from rainclear.nn.output import Branch, Derained, Stage
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.derain_stage import DerainStage, device_pipeline
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.device_gate import READING_SIZE, DeviceGate, reading_of
from rainclear.runtime.gate import Hysteresis, RainGate
from rainclear.runtime.load import load_model
from rainclear.runtime.recording import RecordingBackend
from rainclear.runtime.stream_backends import CpuBackend, backend_for
from rainclear.runtime.streams import DevicePipeline
from rainclear.zoo import find_model

CPU = torch.device("cpu")
WEIGHTS = BranchWeights(mean=2.0, everywhere=1.0, q50=0.5, q90=1.5, q99=0.25)


def spec(bias: float = 3.0, **options) -> GateSpec:
    return GateSpec(weights_sha256="any", bias=bias, streaks=WEIGHTS, drops=WEIGHTS, **options)


def answer(*maps: torch.Tensor | None) -> Derained:
    branches = (None if m is None else Branch(m[None, None], None, None, None) for m in maps)
    return Derained(torch.zeros(1, 3, 48, 64), None, (Stage(torch.zeros(1), *branches),))


def clip(picture, count=14, *, width=61, height=45, deep=False) -> list[Frame]:
    """Frames whose contrast comes and goes, so that the score does."""
    out = []
    for n in range(count):
        pixels = picture(n, width, height)
        strength = (n % 7) / 6
        pixels = (128 + strength * (pixels.astype(float) - 128)).astype(np.uint8)
        if deep:
            pixels = pixels.astype(np.uint16) * 257 + n
        out.append(Frame(pixels=pixels, pts=n, time_base=Fraction(1, 25), index=n))
    return out


@pytest.fixture(scope="session")
def network(tiny_model):
    torch.set_num_threads(1)
    return load_model(str(tiny_model))


def derainer(network, gate):
    network_ = NETWORKS["d-daiam-rt"]
    return Derainer.from_network(
        network, network_, device="cpu", precision="fp32", gate=RainGate(gate)
    )


def turning(network, frames, hold=2) -> GateSpec:
    """A gate that opens and closes on these frames."""
    free = derainer(network, spec(hold=hold))
    scores = sorted(free.rain_score for f in frames if free.process(f.pixels) is not None)
    on, off = scores[2 * len(scores) // 3], scores[len(scores) // 3]
    return spec(on=on, off=off, hold=hold)


@pytest.mark.parametrize("kind", [{}, {"deep": True}])
@pytest.mark.parametrize("backend", [CpuBackend, RecordingBackend])
def test_frames_and_readings_are_those_of_the_derainer(network, picture, kind, backend):
    frames = clip(picture, **kind)
    gate = turning(network, frames)
    stage = DerainStage(network, NETWORKS["d-daiam-rt"], device="cpu", precision="fp32", gate=gate)
    host, opened = derainer(network, gate), []
    for before, after in zip(frames, DevicePipeline(stage, backend()).stream(frames), strict=True):
        np.testing.assert_array_equal(after.pixels, host.process(before.pixels))
        got, wanted = after.metadata["rain_reading"], host.reading
        assert got.open == wanted.open
        for name in ("score", "heavy", "light", "streaks", "drops"):
            assert getattr(got, name) == pytest.approx(getattr(wanted, name), abs=1e-6)
        assert after.metadata["rain_score"] == got.score
        # Dry frames pass as they came, bit for bit, in memory of their own.
        assert np.array_equal(after.pixels, before.pixels) == (not got.open)
        assert not np.shares_memory(after.pixels, before.pixels)
        opened.append(got.open)
    assert len(set(opened)) == 2


def test_a_new_stream_begins_closed(network, picture):
    frames = clip(picture)
    gate = turning(network, frames)
    stage = DerainStage(network, NETWORKS["d-daiam-rt"], device="cpu", precision="fp32", gate=gate)
    pipeline = DevicePipeline(stage, CpuBackend())
    first = [f.metadata["rain_reading"] for f in pipeline.stream(frames)]
    again = [f.metadata["rain_reading"] for f in pipeline.stream(frames)]
    assert first == again


def test_another_size_keeps_the_gate_as_it_is(network, picture):
    frames = clip(picture, 8) + clip(picture, 6, width=40, height=32)
    gate = turning(network, frames, hold=3)
    stage = DerainStage(network, NETWORKS["d-daiam-rt"], device="cpu", precision="fp32", gate=gate)
    host = derainer(network, gate)
    for before, after in zip(
        frames, DevicePipeline(stage, CpuBackend()).stream(frames), strict=True
    ):
        np.testing.assert_array_equal(after.pixels, host.process(before.pixels))


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.2, 0.34, 0.35, 0.36, 0.5, 0.51, 1.0]), max_size=25),
    hold=st.integers(1, 4),
)
def test_the_latch_turns_as_on_the_host(scores, hold):
    gate = DeviceGate(spec(hold=hold), CPU)
    latch = Hysteresis(on=0.5, off=0.35, hold=hold)
    for score in scores:
        gate._turn(torch.tensor(score, dtype=torch.float64), gate.spec)
        assert bool(gate.resident[0]) == latch(score)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("missing", [(), (0,), (1,), (0, 1)])
def test_scores_are_those_of_the_host(missing, fresh):
    rng = torch.Generator().manual_seed(1)
    maps = [None if n in missing else torch.rand(48, 64, generator=rng) ** 3 for n in range(2)]
    out, calibrated = answer(*maps), spec(2.0, fresh=0.7)
    got = torch.full((READING_SIZE,), -1.0)
    DeviceGate(calibrated, CPU)(out, 45, 61, fresh=torch.tensor(fresh), reading=got)
    wanted = RainGate(calibrated)(out, 45, 61, fresh=fresh)
    assert reading_of(got).as_dict() == pytest.approx(wanted.as_dict(), abs=1e-7)


def test_without_a_gate_all_is_open_and_the_score_is_the_mean():
    got = torch.full((READING_SIZE,), -1.0)
    out = answer(torch.full((48, 64), 0.25), None)
    assert DeviceGate(None, CPU)(out, 48, 64, fresh=torch.tensor(True), reading=got) is None
    assert reading_of(got).score == pytest.approx(0.25)
    assert reading_of(got).open


def test_a_stage_knows_where_the_encoder_begins_anew(network, picture, monkeypatch):
    stage = DerainStage(network, NETWORKS["d-daiam-rt"], device="cpu", precision="fp32")
    result, reading = torch.empty(45, 61, 3, dtype=torch.uint8), torch.empty(READING_SIZE)
    told = []
    monkeypatch.setattr(DeviceGate, "__call__", lambda *_, fresh, reading: told.append(bool(fresh)))
    for n, frame in enumerate(clip(picture, 2) * 20):
        if n == 35:
            stage.reset()
        stage(torch.from_numpy(frame.pixels), result, reading)
    assert [n for n, fresh in enumerate(told) if fresh] == [0, 16, 32, 35]


class NoQuestions(TorchDispatchMode):
    """Refuses all that would hold the host up until a device has answered."""

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # or torch's compiler is imported, for nothing

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "equal", "nonzero", "is_nonzero", "item"}, name
        # A tensor of Python numbers is made on the host and copied, which waits, too.
        assert name not in {"lift_fresh", "lift_fresh_copy"}, name
        return func(*args, **(kwargs or {}))


def test_a_stage_asks_the_device_for_nothing(network, picture):
    frames = clip(picture, 4)
    stage = DerainStage(
        network, NETWORKS["d-daiam-rt"], device="cpu", precision="fp32", gate=spec()
    )
    result, reading = torch.empty(45, 61, 3, dtype=torch.uint8), torch.empty(READING_SIZE)
    sources = [torch.from_numpy(frame.pixels) for frame in frames]
    with NoQuestions():
        for source in sources:
            stage(source, result, reading)
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoQuestions():
        float(reading[0])


def test_a_published_gate_goes_with_its_model(picture):
    if find_model("d-daiam-rt").spec.gate is None:
        pytest.skip("d-daiam-rt has no gate")
    frames = clip(picture, 3)
    host = Derainer("d-daiam-rt", device="cpu", precision="fp32", gate=True)
    pipeline = device_pipeline("d-daiam-rt", device="cpu", precision="fp32", gate=True)
    for before, after in zip(frames, pipeline.stream(frames), strict=True):
        np.testing.assert_array_equal(after.pixels, host.process(before.pixels))
        assert after.metadata["rain_reading"].open == host.reading.open


@pytest.mark.gpu
def test_cuda_passes_dry_frames_bit_for_bit_and_never_waits(network, tiny_model, picture):
    frames = clip(picture, 20)
    gate = turning(network, frames)
    rt = NETWORKS["d-daiam-rt"]
    stage = DerainStage(load_model(str(tiny_model)), rt, device="cuda", precision="fp32", gate=gate)
    pipeline = DevicePipeline(stage, backend_for(stage.device))
    list(pipeline.stream(frames[:4]))  # libraries are loaded and memory is taken
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = list(pipeline.stream(frames))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    readings = [f.metadata["rain_reading"] for f in out]
    assert {r.open for r in readings} == {False, True}
    for before, after, reading in zip(frames, out, readings, strict=True):
        if not reading.open:
            np.testing.assert_array_equal(after.pixels, before.pixels)
