import importlib.util
import json

import pytest
import torch

from rainclear.errors import ConfigError, DeviceError, ModelError, OutputError
from rainclear.export import int8_backend
from rainclear.export.int8_backend import keep_int8
from rainclear.export.int8_ranges import best_range
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.int8_files import Int8Ranges, int8_file, kept_int8
from rainclear.runtime.backends.make import make_backend
from rainclear.runtime.backends.measure import moving_frames
from rainclear.runtime.load import load_model

missing = [p for p in ("openvino", "onnx") if importlib.util.find_spec(p) is None]
needs_openvino = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RAINCLEAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def clip(make_video):
    return make_video(pts=range(8))


@pytest.fixture
def program(tiny_model):
    network, cpu = load_model(str(tiny_model)), torch.device("cpu")
    return Program(network=network, descriptor=NETWORKS["d-daiam-rt"], device=cpu)


@needs_openvino
def test_kept_ranges_run_as_backend(tiny_model, clip, program, monkeypatch):
    monkeypatch.setattr(int8_backend, "MAX_LOSS_DB", 5.0)  # random weights
    with pytest.raises(DeviceError, match=r"knows no ranges.*rainclear export"):
        make_backend("openvino-int8", program)
    path, found = keep_int8(str(tiny_model), [clip, clip], size=(48, 64))
    assert path == int8_file(program.network) and kept_int8() == [path.stem]
    assert Int8Ranges.model_validate_json(path.read_bytes()) == found
    assert [f.name for f in path.parent.iterdir()] == [path.name]
    assert found.clips == (clip.name, clip.name) and found.frames == 8
    assert set(found.psnr_db) == {"moderate", "heavy", "dry"}
    assert len(found.factors) == 32 and min(found.factors) == 1 < max(found.factors) <= 8
    backend, eager = make_backend("openvino-int8", program), make_backend("eager", program)
    assert backend.takes_bytes
    for frame in moving_frames((32, 40), 2):  # another size than it was made at
        got, want = backend.run(frame, None).image, eager.run(frame, None).image.clamp(0, 1)
        gap = (got - want).square().mean()
        assert 30 < -10 * float(gap.log10()) < 60  # close, and not the float graph


@needs_openvino
def test_what_costs_too_much_is_not_kept(tiny_model, clip, monkeypatch):
    monkeypatch.setattr(int8_backend, "MAX_LOSS_DB", -100.0)
    with pytest.raises(ModelError, match=r"int8 costs .* dB.*nothing was kept"):
        keep_int8(str(tiny_model), [clip], size=(48, 64))
    assert kept_int8() == []


@needs_openvino
def test_a_short_clip_cannot_calibrate(tiny_model, make_video):
    clip = make_video(pts=range(3))
    with pytest.raises(ConfigError, match=rf"{clip} has 3 frames; at least 8"):
        keep_int8(str(tiny_model), [clip], size=(48, 64))


@needs_openvino
def test_networks_without_blocks_run_over_pictures(tiny_model, clip, program, monkeypatch):
    monkeypatch.setattr(int8_backend, "MAX_LOSS_DB", 5.0)
    for home in ("rainclear.export.int8_backend", "rainclear.runtime.backends.openvino"):
        monkeypatch.setattr(f"{home}.block_graph", lambda *_, **__: None)
    _, found = keep_int8(str(tiny_model), [clip], size=(48, 64))
    assert found.factors == () and "network.deep.0.first" in found.ranges
    assert not {"network.stem", "layers.same"} & set(found.ranges)
    backend, eager = make_backend("openvino-int8", program), make_backend("eager", program)
    assert not backend.takes_bytes
    for frame in moving_frames((32, 40), 2):
        gap = backend.run(frame, None).image - eager.run(frame, None).image
        assert 30 < -10 * float(gap.square().mean().log10()) < 70


@needs_openvino
def test_nothing_is_measured_without_a_place_for_it(tiny_model, clip, monkeypatch):
    monkeypatch.setenv("RAINCLEAR_CACHE", "")
    monkeypatch.setattr(int8_backend, "find_ranges", None)
    with pytest.raises(OutputError, match="RAINCLEAR_CACHE"):
        keep_int8(str(tiny_model), [clip])


def test_ranges_have_the_least_error():
    torch.manual_seed(0)
    values = torch.distributions.Laplace(0.0, 1.0).sample((500_000,))

    def error(low, high):
        step = (high - low) / 255
        return float(((values.clamp(low, high) / step).round() * step - values).square().mean())

    low, high = best_range(values)
    assert values.min() < low < 0 < high < 0.9 * values.max()
    assert error(low, high) < 0.9 * error(float(values.min()), float(values.max()))
    assert error(low, high) < error(low / 2, high / 2)
    assert best_range(torch.zeros(9)) == pytest.approx((0, 1e-6), abs=1e-6)


@needs_openvino
def test_the_file_is_readable(tiny_model, clip, monkeypatch):
    monkeypatch.setattr(int8_backend, "MAX_LOSS_DB", 5.0)
    path, _ = keep_int8(str(tiny_model), [clip], size=(48, 64))
    record = json.loads(path.read_text())
    assert record["model"] == "tiny" and record["ranges"]["network.stem"] == [-128.0, 127.0]
    assert "network.unveil.read" not in record["ranges"]
