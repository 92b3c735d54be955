from types import SimpleNamespace

import pytest
import torch

from rainclear.errors import DeviceError
from rainclear.runtime.backends import measure
from rainclear.runtime.backends.eager import EagerBackend
from rainclear.runtime.backends.make import make_backend
from rainclear.runtime.backends.measure import agreement, in_one_line, moving_frames

SIZE = (48, 64)


class Clock:
    """A clock that backends move by what they take."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(measure.time, "perf_counter", lambda: self.now)

    def backend(self, name, *seconds):
        """Takes those seconds for its frames, the last of them for all that follow."""
        left = list(seconds)

        def run(batch, state):
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return SimpleNamespace(state=None)

        return SimpleNamespace(name=name, run=run)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def weigh(network, descriptor, cpu):
    """Measure eager and another, which ``Other`` makes of a program."""

    def run(monkeypatch, other, name="onnxruntime", precision="fp32"):
        def make(wanted, program):
            return other(program) if wanted == name else make_backend(wanted, program)

        monkeypatch.setattr(measure, "make_backend", make)
        return measure.measure(
            network, descriptor, SIZE, names=("eager", name), device=cpu, precision=precision
        )

    return run


def off_by(levels):
    """One pixel of the picture is off by so many levels."""

    class Wrong(EagerBackend):
        def run(self, batch, state):
            image = super().run(batch, state)
            shown = image.image.clone()
            pixel = shown[..., 20, 30]
            shown[..., 20, 30] = torch.where(
                pixel > 0.5, pixel - levels / 255, pixel + levels / 255
            )
            return image._replace(image=shown)

    return Wrong


def test_measuring_for_real(network, descriptor, cpu):
    pytest.importorskip("onnxruntime")
    names = ("eager", "onnxruntime", "tensorrt")
    eager, ort, tensorrt = measure.measure(
        network, descriptor, SIZE, names=names, device=cpu, precision="fp32"
    )
    assert eager.error == 0 and ort.error < 0.5
    assert eager.ms > 0 and ort.ms > 0 and ort.precision == "float32"
    assert tensorrt.ms is None and "NVIDIA" in tensorrt.problem


def test_what_is_far_too_slow_is_not_timed_to_the_end(cpu, clock):
    times = {"eager": 0.9, "openvino": 0.3, "onnxruntime": 0.5}
    ready = {name: clock.backend(name, seconds) for name, seconds in times.items()}
    ms, failed = measure._take_turns(ready, moving_frames(SIZE, 1), cpu)
    assert ms == pytest.approx({"eager": 900, "openvino": 300, "onnxruntime": 500})
    assert not failed
    calls = clock.calls
    assert calls.count("eager") == 3 < calls.count("onnxruntime") == calls.count("openvino") == 8


def test_a_busy_machine_does_not_decide(cpu, clock):
    # Others hold the cores in most of eager's frames, and in its first after the warm-up.
    ready = {
        "eager": clock.backend("eager", 0.9, 0.9, 0.005, 1.3, 0.7, 0.9, 0.6, 0.8),
        "openvino": clock.backend("openvino", 0.008),
    }
    ms, _ = measure._take_turns(ready, moving_frames(SIZE, 1), cpu)
    assert ms == pytest.approx({"eager": 5, "openvino": 8})


def test_short_frames_are_timed_for_longer(cpu, clock):
    ready = {"eager": clock.backend("eager", *[0.1] * 4, *[0.02] * 9, 0.01)}
    ms, _ = measure._take_turns(ready, moving_frames(SIZE, 1), cpu)
    assert ms == pytest.approx({"eager": 20}) and len(clock.calls) == 9
    clock.calls.clear()
    measure._take_turns({"eager": clock.backend("eager", 1e-6)}, moving_frames(SIZE, 1), cpu)
    assert len(clock.calls) == 51


def test_what_fails_while_it_is_timed_is_left_out(cpu, clock):
    def full(batch, state):
        raise RuntimeError("out of memory")

    ready = {
        "openvino": SimpleNamespace(name="openvino", run=full),
        "eager": clock.backend("eager", 0.2),
    }
    ms, failed = measure._take_turns(ready, moving_frames(SIZE, 1), cpu)
    assert ms == pytest.approx({"eager": 200})
    assert [*failed] == ["openvino"] and "out of memory" in str(failed["openvino"])


def test_wrong_pictures_are_never_chosen(weigh, monkeypatch):
    eager, wrong = weigh(monkeypatch, off_by(20))
    assert eager.ms is not None and not eager.problem
    assert wrong.ms is None and wrong.error == pytest.approx(20, abs=0.1)
    assert wrong.problem == "its pictures differ by up to 20.0 levels"
    assert weigh(monkeypatch, off_by(1))[1].ms is not None


def test_reduced_formats_and_int8_are_judged_by_psnr(network, descriptor, cpu):
    frames = moving_frames(SIZE, 2)
    program = measure.Program(network=network, descriptor=descriptor, device=cpu)
    wanted = [EagerBackend(program).run(frame, None).image.clamp(0, 1) for frame in frames]

    def problem(level, *, dtype=torch.float32, name="eager"):
        """Of a backend whose pictures are ``level`` dB from those that are wanted."""
        gap = torch.full_like(wanted[0], 10 ** (-level / 20))
        answers = iter(
            [SimpleNamespace(image=w + gap * (1 - 2 * w.round()), state=None) for w in wanted]
        )
        backend = SimpleNamespace(name=name, run=lambda *_: next(answers))
        return agreement(backend, wanted, frames, dtype=dtype).problem

    # 38 dB are 3.2 levels, 41 dB 2.3, 46 dB 1.3.
    assert not problem(46)
    assert not problem(41, name="openvino-int8")
    assert "3.2 levels" in problem(38, name="openvino-int8")
    assert "2.3 levels" in problem(41, dtype=torch.bfloat16)


def test_a_few_pixels_may_be_off_in_a_reduced_format_alone(network, descriptor, cpu):
    frames = moving_frames((96, 128), 1)
    program = measure.Program(network=network, descriptor=descriptor, device=cpu)
    wanted = [EagerBackend(program).run(frames[0], None).image.clamp(0, 1)]
    wrong = off_by(20)(program)
    assert "20.0 levels" in agreement(wrong, wanted, frames).problem
    assert not agreement(wrong, wanted, frames, dtype=torch.bfloat16).problem


@pytest.mark.parametrize("where", ["prepare", "run"])
def test_a_backend_that_fails_is_no_candidate(weigh, monkeypatch, where):
    class Broken(EagerBackend):
        pass

    def fail(*_):
        raise RuntimeError("Exception from src/plugin.cpp:82:\nmany lines")

    setattr(Broken, where, fail)
    eager, broken = weigh(monkeypatch, Broken)
    assert eager.ms is not None and broken.ms is None
    assert broken.problem == "RuntimeError: Exception from src/plugin.cpp:82:"


def test_errors_in_one_line():
    assert in_one_line(DeviceError("use another --backend")) == "use another --backend"
    assert in_one_line(KeyError()) == "KeyError: "
