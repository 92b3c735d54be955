import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from rainclear import Derainer
from rainclear.errors import DeviceError
from rainclear.runtime.backends import auto
from rainclear.runtime.backends import cache as cache_module
from rainclear.runtime.backends.auto import (
    AutoBackend,
    Choice,
    Subject,
    candidates,
    known_choice,
    tune,
)

SIZE = (48, 64)


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


def test_candidates():
    on_cpu, on_gpu = candidates(torch.device("cpu")), candidates(torch.device("cuda"))
    assert "compile" not in on_cpu + on_gpu
    assert "tensorrt" in on_gpu and "tensorrt" not in on_cpu
    assert "openvino" in on_cpu and "openvino" not in on_gpu


def test_int8_is_for_who_asked_for_no_precision(network, descriptor, cpu, monkeypatch):
    weighed = {}

    def fake(*_, names, precision, **__):
        weighed[precision] = names
        return []

    monkeypatch.setattr(auto, "measure", fake)
    for precision in ("auto", "fp32", "bf16"):
        tune(network, descriptor, Subject(model="m", device=cpu, precision=precision), SIZE)
        assert "openvino" in weighed[precision] and "eager" in weighed[precision]
    assert "openvino-int8" in weighed["auto"]
    assert "openvino-int8" not in weighed["fp32"] + weighed["bf16"]


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


def test_what_takes_long_is_said_once(network, descriptor, subject, timed, caplog):
    timed(eager=1.0)
    backend = AutoBackend(network, descriptor, subject)
    backend.prepare((720, 1280), 1)
    assert caplog.messages == []
    backend.prepare((720, 1280), 200)
    backend.prepare((720, 1280), 200)
    assert caplog.messages == ["measuring backends for 1280x720 once, which takes some seconds ..."]


def test_one_process_measures_at_a_time_and_the_next_finds_it(
    network, descriptor, subject, timed, monkeypatch
):
    calls, held = timed(eager=1.0, openvino=2.0), []
    real = auto.measure

    def fake(*arguments, **options):
        assert held == ["measuring"]
        return real(*arguments, **options)

    @contextmanager
    def another_was_faster(name, *, patience):
        if name == "measuring" and not held:
            other = Choice(backend="openvino", timings=())
            cache_module.store("backends.json", auto._key(subject, SIZE), other.model_dump())
        held.append(name)
        yield
        held.pop()

    monkeypatch.setattr(auto, "measure", fake)
    monkeypatch.setattr(auto.cache, "locked", another_was_faster)
    assert tune(network, descriptor, subject, SIZE, anew=False).backend == "openvino"
    assert calls == []
    assert tune(network, descriptor, subject, SIZE).backend == "eager"  # as doctor --measure asks
    assert calls == [SIZE] and held == []


def test_when_and_under_what_load_is_kept(network, descriptor, subject, timed, monkeypatch, cache):
    timed(eager=1.0)
    monkeypatch.setattr(auto, "load_average", lambda: 1.25)
    made = tune(network, descriptor, subject, SIZE)
    auto._IN_MEMORY.clear()
    assert known_choice(subject, SIZE) == made
    assert made.load == 1.25 and made.measured.utcoffset().total_seconds() == 0
    # What was written without them is still read.
    stored = json.loads((cache / "backends.json").read_text())
    ((key, row),) = stored.items()
    del row["load"], row["measured"]
    (cache / "backends.json").write_text(json.dumps({key: row}))
    old = known_choice(subject, SIZE)
    assert old.backend == "eager" and old.load is None and old.measured is None


def test_a_size_switches_to_what_was_measured(network, descriptor, subject, timed):
    pytest.importorskip("onnxruntime")
    timed(eager=2.0, onnxruntime=1.0)
    backend = AutoBackend(network, descriptor, subject)
    assert backend.chosen(SIZE).name == "eager"
    backend.prepare(SIZE, None)
    assert backend.chosen(SIZE).name == "onnxruntime"
    assert backend.chosen((56, 64)).name == "eager"


def test_an_int8_model_of_another_kind_is_measured_again(subject, monkeypatch):
    before = auto._key(subject, SIZE)
    monkeypatch.setattr(auto, "INT8_REVISION", auto.INT8_REVISION + 1)
    assert auto._key(subject, SIZE) != before


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
