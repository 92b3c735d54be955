import numpy as np
import pytest
import yaml

from rainclear.config import GateSpec, ModelSpec, load_yaml, parse
from rainclear.errors import ConfigError, InputError
from rainclear.evaluation.calibrate import calibrate
from rainclear.evaluation.gate_file import write_gate
from rainclear.evaluation.rain_samples import RainSample, collect_samples
from rainclear.runtime.gate import read_gate, score_of


def sample(name: str, rain: str, level: float, frames: int = 6) -> RainSample:
    rng = np.random.default_rng(sum(map(ord, name + rain)))
    statistics = np.concatenate(
        [rng.normal(level, 0.2, (frames, 5)), rng.normal(-3, 1e-4, (frames, 5))], axis=1
    )
    return RainSample(
        name=name, rain=rain, scene=name, statistics=statistics, fresh=np.arange(frames) == 0
    )


@pytest.fixture
def samples() -> list[RainSample]:
    return [
        sample(f"clip{i}", rain, level + 0.05 * i)
        for i in range(5)
        for rain, level in (("clean", -2.6), ("moderate", -1.6), ("heavy", -1.0))
    ]


def test_separable_samples_are_separated_also_on_scenes_held_out(samples):
    result = calibrate(samples, weights_sha256="abc")
    assert result.gate.weights_sha256 == "abc" and result.gate.on == 0.5 > result.gate.off
    assert min(result.passed, result.caught) >= 0.99
    assert min(result.passed_held_out, result.caught_held_out) >= 0.95
    scores = {row.rain: row.score for row in result.rows}
    assert scores["clean"] < 0.5 < scores["moderate"] < scores["heavy"]


def test_calibration_is_deterministic(samples):
    assert calibrate(samples, weights_sha256="a") == calibrate(samples, weights_sha256="a")


def test_a_map_that_never_answers_gets_no_say(samples):
    gate = calibrate(samples, weights_sha256="a").gate
    assert max(gate.drops.model_dump().values()) < 0.1 < max(gate.streaks.model_dump().values())


def test_a_misleading_statistic_is_not_weighted_below_zero(samples):
    for one in samples:  # drops that fall as the rain grows
        one.statistics[:, 5:] = -one.statistics[:, :5] - 4
    gate = calibrate(samples, weights_sha256="a").gate
    assert set(gate.drops.model_dump().values()) == {0.0}


def test_attention_of_a_fresh_network_is_no_rain(samples):
    for one in samples:
        one.statistics[0, :5] += 0.8  # as much as between dry and moderate
    result = calibrate(samples, weights_sha256="a")
    assert result.gate.fresh < -1
    assert min(result.passed, result.caught) >= 0.99


def test_samples_that_cannot_be_told_apart_are_reported_so():
    same = [sample(f"clip{i}", rain, -2.0) for i in range(4) for rain in ("clean", "rainy")]
    result = calibrate(same, weights_sha256="a")
    assert min(result.passed, result.caught) < 0.9


def test_a_single_scene_cannot_be_held_out(samples):
    result = calibrate(samples[:3], weights_sha256="a")
    assert min(result.passed, result.caught) > 0.9
    assert np.isnan([result.passed_held_out, result.caught_held_out]).all()


def test_both_kinds_are_needed(samples):
    clean = [s for s in samples if not s.rainy]
    with pytest.raises(InputError, match="at least one rainy file"):
        calibrate(clean, weights_sha256="a")


def test_a_gate_file_is_read_back_as_it_was(samples, tmp_path):
    gate = calibrate(samples, weights_sha256="a").gate
    write_gate(tmp_path / "gate.yaml", gate)
    assert read_gate(tmp_path / "gate.yaml") == gate
    statistics = samples[0].statistics[0].tolist()
    assert score_of(gate, statistics) != score_of(gate, statistics, fresh=True)
    assert score_of(read_gate(tmp_path / "gate.yaml"), statistics) == score_of(gate, statistics)


def test_a_model_keeps_all_but_its_gate(tmp_path):
    file = tmp_path / "model.yaml"
    head = "name: x\nsummary: y\n\narchitecture:\n  network: dam\n"
    tail = "\n# how it was trained\ntraining:\n  data:\n    include: [a]\n    validation: [b]\n"
    file.write_text(head + tail)
    for bias in (1.0, 2.0):
        write_gate(file, GateSpec(weights_sha256="s", bias=bias))
        spec = parse(ModelSpec, load_yaml(file), source="x")
        assert spec.gate == GateSpec(weights_sha256="s", bias=bias)
        assert spec.training is not None
        assert file.read_text().count("gate:") == 1
        assert "# how it was trained\ntraining:" in file.read_text()
    assert yaml.safe_load(head).items() <= yaml.safe_load(file.read_text()).items()


def test_samples_are_collected_from_clips_and_stills(tiny_model, make_video, make_picture):
    seen = []
    samples = collect_samples(
        str(tiny_model),
        clean=[make_video("a.mp4"), make_picture("b.png")],
        rain=["heavy"],
        frames=2,
        device="cpu",
        precision="fp32",
        on_sample=lambda sample, total: seen.append((sample.name, total)),
    )
    assert [(s.name, s.rain, s.statistics.shape) for s in samples] == [
        ("a.mp4", "clean", (2, 10)),
        ("a.mp4", "heavy", (2, 10)),
        ("b.png", "clean", (1, 10)),
        ("b.png", "heavy", (1, 10)),
    ]
    assert seen[-1] == ("b.png", 4)
    assert not np.allclose(samples[0].statistics, samples[1].statistics)


def test_an_unknown_preset_is_refused(tiny_model, make_picture):
    with pytest.raises(ConfigError, match="no rain preset named 'frogs'"):
        collect_samples(str(tiny_model), clean=[make_picture()], rain=["frogs"])
