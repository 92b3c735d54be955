import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rainclear import Derainer
from rainclear.errors import DeviceError
from rainclear.runtime.backends import auto, measure
from rainclear.runtime.backends import cache as cache_module
from rainclear.runtime.backends.auto import (
    AutoBackend,
    Choice,
    Subject,
    candidates,
    known_choice,
    tune,
)
from rainclear.runtime.backends.eager import EagerBackend
from rainclear.runtime.backends.make import make_backend
from rainclear.runtime.backends.measure import Timing, agreement, moving_frames

SIZE = (48, 64)


@pytest.fixture
def subject(cpu):
    return Subject(model="tiny-123", device=cpu, precision="fp32")


@pytest.fixture
def timed(monkeypatch):
    """Lets the tests say how fast each backend is."""
    calls = []

    def set_times(**ms):
        def fake(network, descriptor, size, *, names, device, precision):
            calls.append(size)
            return [
                Timing(backend=n, ms=ms[n]) if n in ms else Timing(backend=n, problem="missing")
                for n in names
            ]

        monkeypatch.setattr(auto, "measure", fake)
        return calls

    return set_times


def test_the_fastest_is_chosen_and_remembered(network, descriptor, subject, timed):
    calls = timed(eager=9.0, onnxruntime=3.0)
    assert known_choice(subject, SIZE) is None
    assert tune(network, descriptor, subject, SIZE).backend == "onnxruntime"
    auto._IN_MEMORY.clear()
    found = known_choice(subject, SIZE)
    assert found.backend == "onnxruntime"
    assert {row.backend: row.ms for row in found.timings}["eager"] == 9.0
    assert known_choice(subject, (56, 64)) is None
    other = Subject(model="tiny-456", device=subject.device, precision="fp32")
    assert known_choice(other, SIZE) is None
    assert calls == [SIZE]


def test_nothing_that_runs_means_eager(network, descriptor, subject, timed):
    timed()
    assert tune(network, descriptor, subject, SIZE).backend == "eager"


def test_another_version_is_measured_again(network, descriptor, subject, timed, monkeypatch):
    timed(eager=1.0)
    tune(network, descriptor, subject, SIZE)
    from rainclear.runtime.backends import machine

    monkeypatch.setattr(machine, "_version", lambda name: "99")
    assert known_choice(subject, SIZE) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"KEY": 3}', '{"KEY": {"backend": "rm", "timings": []}}', "\x00"]
)
def test_a_damaged_cache_is_no_cache(subject, cache, content):
    cache.mkdir()
    (cache / "backends.json").write_text(content.replace("KEY", auto._key(subject, SIZE)))
    assert known_choice(subject, SIZE) is None


def test_the_cache_keeps_other_keys_and_leaves_no_partial_file(cache):
    from rainclear.runtime.backends.cache import load, store

    assert store("a.json", "x", 1) and store("a.json", "y", [2])
    assert load("a.json") == {"x": 1, "y": [2]}
    assert not store("a.json", "z", object())
    assert os.listdir(cache) == ["a.json"]
    assert json.loads((cache / "a.json").read_text()) == {"x": 1, "y": [2]}


def test_a_cache_that_cannot_be_written_does_no_harm(
    network, descriptor, subject, timed, monkeypatch, tmp_path
):
    timed(eager=1.0, openvino=0.5)
    (tmp_path / "file").touch()
    for where in (str(tmp_path / "file" / "below"), ""):
        monkeypatch.setenv("RAINCLEAR_CACHE", where)
        assert cache_module.store("a.json", "x", 1) is False
        assert cache_module.load("a.json") == {}
        assert tune(network, descriptor, subject, SIZE).backend == "openvino"
        assert known_choice(subject, SIZE).backend == "openvino"  # for this process


def test_reading_makes_no_folder(cache):
    from rainclear.runtime.backends.cache import load

    assert load("a.json") == {}
    assert not cache.exists()


def test_candidates():
    on_cpu, on_gpu = candidates(torch.device("cpu")), candidates(torch.device("cuda"))
    assert "compile" not in on_cpu + on_gpu
    assert "tensorrt" in on_gpu and "tensorrt" not in on_cpu
    assert "openvino" in on_cpu and "openvino" not in on_gpu


def test_short_streams_are_not_measured(network, descriptor, subject, timed):
    calls = timed(eager=1.0)
    backend = AutoBackend(network, descriptor, subject)
    backend.prepare(SIZE)
    backend.prepare(SIZE, 1000)
    backend.run(torch.rand(1, 3, *SIZE), None)
    assert calls == []
    backend.prepare(SIZE, None)
    backend.prepare(SIZE, None)
    assert calls == [SIZE]
    backend.prepare((720, 1280), 200)
    assert calls == [SIZE, (720, 1280)]


def test_a_size_switches_to_what_was_measured(network, descriptor, subject, timed):
    pytest.importorskip("onnxruntime")
    timed(eager=2.0, onnxruntime=1.0)
    backend = AutoBackend(network, descriptor, subject)
    assert backend.chosen(SIZE).name == "eager"
    backend.prepare(SIZE, None)
    assert backend.chosen(SIZE).name == "onnxruntime"
    assert backend.chosen((56, 64)).name == "eager"


def test_a_choice_that_no_longer_runs_falls_back(network, descriptor, subject, monkeypatch):
    choice = Choice(backend="tensorrt", timings=())
    monkeypatch.setattr(auto, "known_choice", lambda *_: choice)
    assert AutoBackend(network, descriptor, subject).chosen(SIZE).name == "eager"


def test_what_was_nearly_as_fast_stands_in(network, descriptor, subject, timed):
    pytest.importorskip("onnxruntime")
    timed(eager=9.0, onnxruntime=3.0, **{"openvino-int8": 1.0})  # its file is not there any more
    backend = AutoBackend(network, descriptor, subject)
    backend.prepare(SIZE, None)
    assert known_choice(subject, SIZE).backend == "openvino-int8"
    assert backend.chosen(SIZE).name == "onnxruntime"


def test_an_int8_model_of_another_kind_is_measured_again(subject, monkeypatch):
    before = auto._key(subject, SIZE)
    monkeypatch.setattr(auto, "INT8_REVISION", auto.INT8_REVISION + 1)
    assert auto._key(subject, SIZE) != before


def test_measuring_for_real(network, descriptor, cpu):
    pytest.importorskip("onnxruntime")
    timings = measure.measure(
        network,
        descriptor,
        SIZE,
        names=("eager", "onnxruntime", "tensorrt"),
        device=cpu,
        precision="fp32",
    )
    eager, ort, tensorrt = timings
    assert eager.error == 0 and ort.error < 0.5
    assert eager.ms > 0 and ort.ms > 0 and ort.precision == "float32"
    assert tensorrt.ms is None and "NVIDIA" in tensorrt.problem


def test_what_is_far_too_slow_is_not_timed_to_the_end(cpu, monkeypatch):
    now, calls = [0.0], []

    class Timed:
        def __init__(self, name, seconds):
            self.name, self.seconds = name, seconds

        def run(self, batch, state):
            calls.append(self.name)
            now[0] += self.seconds
            return SimpleNamespace(state=None)

    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    ready = {"eager": Timed("eager", 0.9), "openvino": Timed("openvino", 0.3)}
    ready["onnxruntime"] = Timed("onnxruntime", 0.5)
    ms = measure._take_turns(ready, moving_frames(SIZE, 1), cpu)
    assert ms == pytest.approx({"eager": 900, "openvino": 300, "onnxruntime": 500})
    assert calls.count("eager") == 2 < calls.count("onnxruntime") == calls.count("openvino")


def test_wrong_pictures_are_never_chosen(network, descriptor, cpu, monkeypatch):
    class Wrong(EagerBackend):
        def run(self, batch, state):
            out = super().run(batch, state)
            return out._replace(image=out.image + 3 / 255 * batch.mean())

    real = make_backend

    def make(name, program):
        return Wrong(program) if name == "onnxruntime" else real(name, program)

    monkeypatch.setattr(measure, "make_backend", make)
    eager, wrong = measure.measure(
        network,
        descriptor,
        SIZE,
        names=("eager", "onnxruntime"),
        device=cpu,
        precision="fp32",
    )
    assert eager.ms is not None
    # 1.5 levels are within 2/255 and pass; make it worse and they do not.
    assert wrong.ms is not None and 1 < wrong.error < 2
    frames = moving_frames(SIZE, 2)
    far = [torch.zeros_like(f) for f in frames]
    backend = EagerBackend(measure.Program(network=network, descriptor=descriptor, device=cpu))
    assert "differ by up to" in agreement(backend, far, frames).problem


def test_a_derainer_prepares_the_padded_size(tiny_model, timed):
    calls = timed(eager=1.0)
    derainer = Derainer(str(tiny_model), device="cpu")
    derainer.prepare((43, 61), frames=5)
    assert calls == []
    derainer.prepare((43, 61))
    assert calls == [(48, 64)]


def test_another_backend_begins_with_no_state(tiny_model, timed, picture):
    pytest.importorskip("openvino")
    timed(eager=9.0, openvino=1.0)
    derainer = Derainer(str(tiny_model), device="cpu", precision="fp32")
    deep = picture().astype(np.uint16) * 257
    derainer.process(deep)  # on eager, whose state openvino cannot read
    derainer.prepare(deep.shape[:2])
    got = derainer.process(deep)
    fresh = Derainer(str(tiny_model), device="cpu", precision="fp32", backend="openvino")
    np.testing.assert_array_equal(got, fresh.process(deep))


def test_precision_is_checked_at_once(tiny_model):
    with pytest.raises(DeviceError, match="unknown precision"):
        Derainer(str(tiny_model), device="cpu", precision="int3")
    with pytest.raises(DeviceError, match="unknown backend 'egaer'; did you mean 'eager'"):
        Derainer(str(tiny_model), device="cpu", backend="egaer")
