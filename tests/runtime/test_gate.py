import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rainclear.config import BranchWeights, GateSpec
from rainclear.errors import ConfigError, ModelError
from rainclear.frame import Frame
from rainclear.nn.output import Branch, Derained, Stage
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.gate import (
    STATISTICS,
    RainGate,
    attention_maps,
    find_gate,
    read_gate,
    score_of,
    statistics_of,
)
from rainclear.runtime.hysteresis import GateState, Hysteresis
from rainclear.runtime.jobs import EncodeOptions, derain_video
from rainclear.runtime.sidecar import Sidecar
from rainclear.video import VideoReader, VideoWriter
from rainclear.zoo import find_model


def answer(streaks: torch.Tensor | None, drops: torch.Tensor | None) -> Derained:
    image = torch.zeros(1, 3, 64, 64)

    def branch(attention: torch.Tensor | None) -> Branch | None:
        return None if attention is None else Branch(attention[None, None], None, None, None)

    return Derained(image, None, (Stage(image, branch(streaks), branch(drops)),))


def spec(bias: float = 3.0, *, sha: str = "any", **options: object) -> GateSpec:
    weights = BranchWeights(mean=2.0)
    return GateSpec(weights_sha256=sha, bias=bias, streaks=weights, drops=weights, **options)


@pytest.fixture
def gated(tiny_model):
    """A derainer of the tiny model whose gate is always open (bias 99) or closed (-99)."""
    sha = find_model(str(tiny_model)).spec.weights.sha256

    def make(bias: float) -> Derainer:
        return Derainer(str(tiny_model), device="cpu", precision="fp32", gate=spec(bias, sha=sha))

    return make


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_closed_gate_passes_frames_bit_for_bit(gated, picture, dtype):
    derainer = gated(-99)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, np.iinfo(dtype).max, picture().shape, dtype, endpoint=True)
    out = derainer.process(frame)
    assert np.array_equal(out, frame) and out.dtype == frame.dtype
    assert not np.shares_memory(out, frame)
    assert derainer.reading.open is False and derainer.rain_score < 0.01


def test_bgr_frames_pass_bit_for_bit_too(gated, picture):
    assert np.array_equal(gated(-99)(picture()), picture())


def test_an_open_gate_changes_nothing_about_the_network(gated, derainer, picture):
    open_ = gated(99)
    for i in range(3):
        assert np.array_equal(open_.process(picture(i)), derainer.process(picture(i)))
        assert open_.reading.open


def test_the_state_goes_on_behind_a_closed_gate(gated, derainer, picture):
    closed = gated(-99)
    for i in range(2):
        closed.process(picture(i))
        derainer.process(picture(i))
    assert torch.equal(closed.state.network[0], derainer.state.network[0])


def test_hysteresis_opens_at_once_and_closes_late():
    latch = Hysteresis(on=0.5, off=0.3, hold=2)
    scores = [0.4, 0.5, 0.4, 0.2, 0.4, 0.2, 0.2, 0.4, 0.49, 0.6]
    want = [False, True, True, True, True, True, False, False, False, True]
    assert [latch(score) for score in scores] == want
    latch.reset()
    assert latch(0.49) is False


def test_hysteresis_goes_on_from_its_state():
    latch, other = (Hysteresis(on=0.5, off=0.3, hold=2) for _ in range(2))
    latch(0.5), latch(0.2)
    assert latch.state == GateState(open=True, below=1)
    other.restore(latch.state)
    assert other(0.2) is latch(0.2) is False


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 5))
def test_hysteresis_never_closes_within_hold_frames(scores, hold):
    latch = Hysteresis(on=0.6, off=0.4, hold=hold)
    opened = [latch(score) for score in scores]
    for i, score in enumerate(scores):
        if score >= 0.6:
            assert all(opened[i : i + hold])
        if opened[i] and (i == 0 or not opened[i - 1]):
            assert score >= 0.6


def test_the_reading_counts_areas():
    streaks, drops = torch.zeros(64, 64), torch.zeros(64, 64)
    streaks[:, :32] = 0.9
    drops[:16] = 0.2
    reading = RainGate(None)(answer(streaks, drops), 64, 64)
    assert reading.streaks == pytest.approx(0.5) and reading.drops == 0
    assert reading.heavy == pytest.approx(0.5)
    assert reading.light == pytest.approx(0.125)  # a quarter of the dry half
    assert reading.open and reading.score == pytest.approx(0.5 * 0.9 + 0.25 * 0.2 * 0.55, abs=1e-6)
    assert reading.as_dict()["gate"] == "open"


def test_padding_does_not_count():
    streaks = torch.zeros(64, 64)
    streaks[:, 40:] = 1.0
    reading = RainGate(None)(answer(streaks, None), 64, 40)
    assert (reading.score, reading.heavy) == (0, 0)


@pytest.mark.parametrize("given", [1, 2, 4])
def test_maps_of_every_fourth_pixel_will_do(given):
    streaks, drops = torch.rand(2, 64, 64)
    height, width = 50, 61  # the rest is padding
    sampled = answer(streaks[::given, ::given], drops[::given, ::given])
    want = attention_maps(answer(streaks, drops), height, width)
    for got, right in zip(attention_maps(sampled, height, width), want, strict=True):
        assert torch.equal(got, right) and right.shape == (1, 1, 13, 16)


def test_without_a_gate_the_score_is_the_mean_attention():
    torch.manual_seed(1)
    streaks, drops = torch.rand(64, 64), torch.rand(64, 64)
    joint = 1 - (1 - streaks[:60:4, ::4]) * (1 - drops[:60:4, ::4])
    for out, wanted in (
        (answer(streaks, drops), joint.mean()),
        (answer(None, drops), drops[:60:4, ::4].mean()),
        (answer(None, None), 0.0),
    ):
        assert RainGate(None)(out, 60, 64).score == pytest.approx(float(wanted), abs=1e-6)


def test_statistics_are_of_the_whole_picture():
    values = statistics_of(answer(torch.full((64, 64), 0.0997), None), 64, 64)
    assert values == pytest.approx(
        [-1.0] * len(STATISTICS) + [math.log10(3e-4)] * len(STATISTICS), abs=2e-3
    )


def test_more_attention_never_lowers_the_score():
    torch.manual_seed(0)
    less = torch.rand(64, 64) * 0.5
    more = less + torch.rand(64, 64) * 0.5
    weights = BranchWeights(mean=1, everywhere=1, q50=1, q90=1, q99=1)
    gate = GateSpec(weights_sha256="", bias=2.0, streaks=weights)
    low, high = (score_of(gate, statistics_of(answer(m, None), 64, 64)) for m in (less, more))
    assert 0 < low < high < 1


def test_extreme_scores_stay_finite():
    assert score_of(spec(1e6), [0.0] * 10) == pytest.approx(1)
    assert score_of(spec(-1e6), [0.0] * 10) < 1e-20
    assert math.isfinite(score_of(spec(0), [0.0] * 10))


def test_a_gate_for_other_weights_is_left_out_or_refused(tiny_model):
    folder = find_model(str(tiny_model))
    assert find_gate(folder, None) is None and find_gate(folder, False) is None
    with pytest.raises(ModelError, match="has no rain gate; make one: rainclear calibrate"):
        find_gate(folder, True)
    with pytest.raises(ModelError, match="calibrated with other weights"):
        find_gate(folder, spec(sha="0" * 64))


def test_gate_files_are_checked(tmp_path: Path):
    file = tmp_path / "gate.yaml"
    file.write_text("gate: {weights_sha256: x, bias: 1.0, onn: 0.5}\n")
    with pytest.raises(ConfigError, match="did you mean 'on'"):
        read_gate(file)
    file.write_text("gate: {weights_sha256: x, bias: 1.0, 'on': 0.2, 'off': 0.4}\n")
    with pytest.raises(ConfigError, match=r"off \(0.4\) must not be above on"):
        read_gate(file)
    file.write_text("bias: 1.0\n")
    with pytest.raises(ConfigError, match="has no section 'gate'"):
        read_gate(file)
    file.write_text("gate: {weights_sha256: x, bias: 1.0}\n")
    assert read_gate(file) == GateSpec(weights_sha256="x", bias=1.0)


def test_a_closed_gate_over_a_video_and_its_sidecar(gated, make_video, tmp_path):
    source, out, plain = make_video(), tmp_path / "out.mkv", tmp_path / "plain.mkv"
    encode = EncodeOptions(codec="ffv1", crf=None)
    with Sidecar(tmp_path / "rain.jsonl") as sidecar:
        report = derain_video(source, out, derainer=gated(-99), sidecar=sidecar, encode=encode)
    assert report.dry_frames == report.frames == 5
    with (
        VideoReader(source) as reader,
        VideoWriter(plain, template=reader, codec="ffv1", crf=None) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    with VideoReader(plain) as a, VideoReader(out) as b:
        for rainy, written in zip(a, b, strict=True):
            assert np.array_equal(rainy.pixels, written.pixels)
    lines = [json.loads(line) for line in (tmp_path / "rain.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert {line["gate"] for line in lines} == {"closed"}
    assert lines[2].keys() == {
        *("file", "frame", "pts", "time", "rain_score", "gate"),
        *("heavy", "light", "streaks", "drops"),
    }
    assert lines[2]["time"] == pytest.approx(0.08) and lines[2]["file"] == "in.mp4"


def test_a_failed_run_leaves_no_sidecar(tmp_path, files_in):
    with pytest.raises(RuntimeError), Sidecar(tmp_path / "rain.jsonl") as sidecar:
        sidecar.write("x.mp4", Frame(pixels=None), RainGate(None)(answer(None, None), 8, 8))
        raise RuntimeError
    assert files_in(tmp_path) == set()
