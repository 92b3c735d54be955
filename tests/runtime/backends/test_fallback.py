import pytest
import torch

from rainclear import Derainer
from rainclear.errors import DeviceError
from rainclear.runtime.backends import auto
from rainclear.runtime.backends.auto import AutoBackend, Choice, known_choice
from rainclear.runtime.backends.eager import EagerBackend

SIZE = (48, 64)


@pytest.fixture
def broken(monkeypatch):
    """Lets backends fail: of each name, in which method and with what."""
    calls = []

    def set_failures(**failures):
        real = auto.make_backend

        def make(name, program):
            if name not in failures:
                return real(name, program)
            where, error = failures[name]

            def fail(self, *_):
                calls.append((name, where))
                raise error

            kind = type("Broken", (EagerBackend,), {"name": name, where: fail})
            if where == "run_bytes":
                kind.takes_bytes = True
            return kind(program)

        monkeypatch.setattr(auto, "make_backend", make)
        return calls

    return set_failures


@pytest.fixture
def ranked(monkeypatch):
    """Lets the tests say what was measured."""

    def rank(**ms):
        rows = tuple({"backend": name, "ms": value} for name, value in ms.items())
        choice = Choice(backend=min(ms, key=ms.get), timings=rows)
        monkeypatch.setattr(auto, "known_choice", lambda *_: choice)

    return rank


def test_a_choice_that_no_longer_runs_falls_back(network, descriptor, subject, monkeypatch):
    choice = Choice(backend="tensorrt", timings=())
    monkeypatch.setattr(auto, "known_choice", lambda *_: choice)
    assert AutoBackend(network, descriptor, subject).chosen(SIZE).name == "eager"


def test_what_was_nearly_as_fast_stands_in(network, descriptor, subject, timed):
    pytest.importorskip("onnxruntime")
    # Its package is not there any more.
    timed(eager=9.0, onnxruntime=3.0, tensorrt=1.0)
    names = ("eager", "onnxruntime", "tensorrt")
    auto.tune(network, descriptor, subject, SIZE, names)
    backend = AutoBackend(network, descriptor, subject)
    backend.prepare(SIZE, None)
    assert known_choice(subject, SIZE).backend == "tensorrt"
    assert backend.chosen(SIZE).name == "onnxruntime"


@pytest.mark.parametrize("where", ["prepare", "run", "run_bytes"])
@pytest.mark.parametrize("error", [DeviceError("no"), RuntimeError("src/plugin.cpp:82:\nno")])
def test_what_fails_at_a_size_is_left_out(
    network, descriptor, subject, ranked, broken, caplog, where, error
):
    calls = broken(openvino=(where, error), onnxruntime=("prepare", OSError("no disk")))
    ranked(openvino=1.0, onnxruntime=2.0, eager=3.0)
    backend = AutoBackend(network, descriptor, subject)
    backend.prepare(SIZE, None)
    assert backend.chosen(SIZE).name == "eager"
    assert backend.run(torch.rand(1, 3, *SIZE), None).image.shape == (1, 3, *SIZE)
    assert [name for name, _ in calls] == ["openvino", "onnxruntime"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "backend 'openvino' is left out at 64x48",
        "backend 'onnxruntime' is left out at 64x48",
    ]
    assert all("\n" not in record.getMessage() for record in caplog.records)
    backend.prepare(SIZE, None)  # it is not tried again, and nothing is said again
    assert len(calls) == len(caplog.records) == 2
    backend.prepare((56, 64))
    assert len(calls) == 4


def test_sizes_that_nobody_announced_fall_back_too(network, descriptor, subject, ranked, broken):
    broken(openvino=("run", RuntimeError("no")))
    ranked(openvino=1.0, eager=2.0)
    assert AutoBackend(network, descriptor, subject).chosen(SIZE).name == "eager"


def test_eager_itself_has_nothing_to_fall_back_to(network, descriptor, subject, broken):
    broken(eager=("run", RuntimeError("out of memory")))
    backend = AutoBackend(network, descriptor, subject)
    backend.prepare(SIZE)
    with pytest.raises(RuntimeError, match="out of memory"):
        backend.run(torch.rand(1, 3, *SIZE), None)


def test_a_derainer_goes_on(tiny_model, picture, ranked, broken):
    broken(openvino=("prepare", RuntimeError("no")))
    ranked(openvino=1.0, eager=2.0)
    derainer = Derainer(str(tiny_model), device="cpu")
    frame = picture()
    derainer.prepare(frame.shape[:2])
    assert derainer.process(frame).shape == frame.shape
    assert derainer.backend_for(frame.shape[:2]) == "eager"
