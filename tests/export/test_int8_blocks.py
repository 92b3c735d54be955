import importlib.util
import json

import pytest
import torch

from rainclear.errors import ConfigError, DeviceError, ModelError
from rainclear.export import int8_blocks
from rainclear.export.int8_blocks import keep_int8
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends.auto import Subject, known_choice
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.int8_files import int8_file, kept_int8
from rainclear.runtime.backends.make import make_backend
from rainclear.runtime.backends.measure import moving_frames
from rainclear.runtime.load import load_model

missing = [p for p in ("openvino", "nncf") if importlib.util.find_spec(p) is None]
needs_nncf = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RAINCLEAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def clip(make_video):
    return make_video(pts=range(8))


@pytest.fixture
def cheap(monkeypatch):
    """No quantisation: the figures are those of the graph itself."""
    monkeypatch.setattr(int8_blocks, "nncf_quantise", lambda model, feeds, **_: model)


@needs_nncf
def test_a_kept_model_runs_as_backend(tiny_model, clip, monkeypatch):
    monkeypatch.setattr(int8_blocks, "MAX_LOSS_DB", 5.0)  # so small a network, so few frames
    network, cpu = load_model(str(tiny_model)), torch.device("cpu")
    program = Program(network=network, descriptor=NETWORKS["d-daiam-rt"], device=cpu)
    with pytest.raises(DeviceError, match=r"no int8 model.*rainclear export"):
        make_backend("openvino-int8", program)
    path, record = keep_int8(str(tiny_model), clip, size=(48, 64))
    assert path == int8_file(network) and kept_int8() == [path.stem]
    assert set(record["psnr_db"]) == {"moderate", "heavy", "dry"}
    assert {f.name for f in path.parent.iterdir()} == {path.name, path.with_suffix(".bin").name}
    backend, eager = make_backend("openvino-int8", program), make_backend("eager", program)
    for frame in moving_frames((32, 40), 2):  # another size than it was made at
        got, want = backend.run(frame, None).image, eager.run(frame, None).image.clamp(0, 1)
        assert float((got - want).abs().mean()) < 0.02


@needs_nncf
def test_the_file_says_what_it_cost(tiny_model, clip, cheap):
    from rainclear.runtime.backends.quiet import import_quietly

    path, record = keep_int8(str(tiny_model), clip, size=(48, 64))
    model = import_quietly("openvino").Core().read_model(str(path))
    assert json.loads(model.get_rt_info(["rainclear"]).astype(str)) == record
    for figures in record["psnr_db"].values():
        assert figures["float"] == figures["int8"]


@needs_nncf
def test_what_costs_too_much_is_not_kept(tiny_model, clip, cheap, monkeypatch):
    monkeypatch.setattr(int8_blocks, "MAX_LOSS_DB", -100.0)
    with pytest.raises(ModelError, match=r"int8 costs .* dB.*nothing was kept"):
        keep_int8(str(tiny_model), clip, size=(48, 64))
    assert kept_int8() == []


@needs_nncf
def test_a_short_clip_cannot_calibrate(tiny_model, make_video):
    with pytest.raises(ConfigError, match="has 3 frames; at least 8"):
        keep_int8(str(tiny_model), make_video(pts=range(3)), size=(48, 64))


@needs_nncf
def test_networks_without_blocks_are_refused(tiny_model, clip, monkeypatch):
    monkeypatch.setattr(int8_blocks, "block_graph", lambda *_, **__: None)
    with pytest.raises(ModelError, match=r"no graph over blocks.*--out FILE"):
        keep_int8(str(tiny_model), clip)


def test_a_new_int8_model_is_a_reason_to_measure_again(cache):
    from rainclear.runtime.backends.auto import _key

    subject = Subject(model="tiny-123", device=torch.device("cpu"), precision="fp32")
    before = _key(subject, (48, 64))
    (cache / "int8").mkdir(parents=True)
    (cache / "int8" / "0123.xml").touch()
    assert _key(subject, (48, 64)) != before and known_choice(subject, (48, 64)) is None


def test_other_weights_have_another_file(tiny_model):
    network = load_model(str(tiny_model))
    before = int8_file(network)
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    assert int8_file(network) != before


def test_without_a_cache_there_is_none(tiny_model, monkeypatch):
    monkeypatch.setenv("RAINCLEAR_CACHE", "")
    assert int8_file(load_model(str(tiny_model))) is None and kept_int8() == []
