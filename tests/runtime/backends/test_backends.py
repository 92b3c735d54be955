import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from rainclear import Derainer
from rainclear.errors import DeviceError, ModelError
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends import base
from rainclear.runtime.backends.base import BACKENDS, EXTRAS, Program, start_state
from rainclear.runtime.backends.graph import signature_of
from rainclear.runtime.backends.make import FORMATS, check_name, make_backend, make_program
from rainclear.runtime.backends.measure import moving_frames
from rainclear.runtime.gate import attention_maps


def installed(name):
    return importlib.util.find_spec(name) is not None


graphs = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(not installed(name), reason=f"{name} is not installed")
        )
        for name in ("openvino", "onnxruntime")
    ],
)


@pytest.fixture
def make(network, descriptor, cpu):
    def build(name, precision="fp32"):
        program = make_program(network, descriptor, backend=name, device=cpu, precision=precision)
        return make_backend(name, program)

    return build


def play(backend, frames):
    state, answers = None, []
    for frame in frames:
        out = backend.run(frame, state)
        state = out.state
        maps = attention_maps(out, *frame.shape[2:])  # what all backends give of them
        answers.append([t.float().clone() for t in (out.image, *maps)])
    return answers


@graphs
def test_a_clip_with_state_is_eagers(make, name):
    frames = moving_frames((48, 64), 5)
    for got, want in zip(play(make(name), frames), play(make("eager"), frames), strict=True):
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


@graphs
def test_the_state_matters_to_the_comparison(make, name):
    # Otherwise the test above could pass with a state that is dropped.
    frames = moving_frames((48, 64), 2)
    carried = play(make(name), frames)[1][0]
    fresh = play(make(name), frames[1:])[0][0]
    assert float((carried - fresh).abs().max()) > 1e-3


@graphs
def test_sizes_and_batches_can_change(make, name):
    backend, eager = make(name), make("eager")
    for shape in ((1, 3, 48, 64), (1, 3, 32, 40), (2, 3, 32, 40), (1, 3, 48, 64)):
        x = torch.rand(shape)
        torch.testing.assert_close(
            backend.run(x, None).image, eager.run(x, None).image, atol=1e-4, rtol=0
        )


@graphs
def test_what_was_returned_outlives_one_more_call(make, name):
    backend = make(name)
    one, two = moving_frames((48, 64), 2)
    first = backend.run(one, None)
    kept = first.image.clone(), [s.clone() for s in first.state]
    backend.run(two, first.state)
    torch.testing.assert_close(first.image, kept[0], rtol=0, atol=0)
    for state, before in zip(first.state, kept[1], strict=True):
        torch.testing.assert_close(state, before, rtol=0, atol=0)


@graphs
def test_a_state_may_be_used_twice(make, name):
    backend = make(name)
    one, two = moving_frames((48, 64), 2)
    first = backend.run(one, None)
    state = tuple(s for s in first.state)
    wanted = backend.run(two, state).image.clone()
    torch.testing.assert_close(backend.run(two, state).image, wanted, rtol=0, atol=0)


@graphs
def test_a_derainer_gives_the_same_pictures(derainer, tiny_model, picture, name):
    other = Derainer(str(tiny_model), device="cpu", precision="fp32", backend=name)
    for i in range(3):
        frame = picture(i, 61, 43)
        assert np.abs(other.process(frame).astype(int) - derainer.process(frame)).max() <= 1
        assert other.rain_score == pytest.approx(derainer.rain_score, abs=1e-4)


def test_compile_runs_the_compiled_network(make, monkeypatch):
    calls = []

    def fake(network, **options):
        assert options == {"dynamic": False}
        return lambda *arguments: calls.append(len(arguments)) or network(*arguments)

    monkeypatch.setattr(torch, "compile", fake)
    monkeypatch.setattr("rainclear.runtime.backends.compiled._has_compiler", lambda: True)
    backend = make("compile")
    backend.prepare((48, 64))
    frames = moving_frames((48, 64), 2)
    torch.testing.assert_close(play(backend, frames), play(make("eager"), frames))
    assert calls == [2] * 4


def test_compile_names_the_missing_compiler(make, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match=r"C\+\+ compiler.*--backend eager"):
        make("compile")


def test_a_failing_compiler_is_an_error_of_ours(make, monkeypatch):
    def broken(*_):
        raise RuntimeError("linker says no\nmany lines")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    monkeypatch.setattr("rainclear.runtime.backends.compiled._has_compiler", lambda: True)
    with pytest.raises(DeviceError, match="failed: linker says no; use --backend eager"):
        make("compile").prepare((48, 64))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_package_names_its_extra(make, monkeypatch, name):
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=rf"rainclear\[{EXTRAS[name]}\]"):
        make(name)


@pytest.mark.parametrize("error", ["ImportError", "OSError", "AttributeError"])
@pytest.mark.parametrize(
    ("name", "package"),
    [("openvino", "openvino"), ("onnxruntime", "onnxruntime"), ("onnxruntime", "onnx")],
)
def test_a_broken_package_is_named_with_the_remedy(make, break_package, name, package, error):
    if not installed("onnxruntime"):
        pytest.skip("onnxruntime is not installed")
    break_package(package, f"raise {error}('libtbb.so.12: cannot open\\nmany lines')")
    with pytest.raises(DeviceError) as caught:
        make(name)
    assert str(caught.value) == (
        f"backend {name!r}: the package {package} cannot be imported ({error}: libtbb.so.12: "
        f"cannot open); install it again: pip install --force-reinstall {package}, or use "
        "--backend eager"
    )


def test_a_folder_that_was_left_behind_is_no_package(make, break_package):
    break_package("openvino", None)
    with pytest.raises(DeviceError, match="openvino, which is not installed"):
        make("openvino")


def test_tensorrt_needs_a_gpu(make):
    with pytest.raises(DeviceError, match=r"'tensorrt' needs an NVIDIA GPU.*--device cuda"):
        make("tensorrt")


@pytest.mark.skipif(not installed("onnxruntime"), reason="onnxruntime is not installed")
def test_tensorrt_needs_its_provider(network, descriptor):
    program = Program(network=network, descriptor=descriptor, device=torch.device("cuda:0"))
    with pytest.raises(DeviceError, match=r"has no TensorrtExecutionProvider.*onnxruntime-gpu"):
        make_backend("tensorrt", program)


def test_openvino_stays_on_the_cpu(network, descriptor):
    pytest.importorskip("openvino")
    program = Program(network=network, descriptor=descriptor, device=torch.device("cuda:0"))
    with pytest.raises(DeviceError, match="runs on the CPU, not on cuda:0"):
        make_backend("openvino", program)


@pytest.mark.skipif(not installed("openvino"), reason="openvino is not installed")
def test_openvino_in_bf16_is_close(make):
    frames = moving_frames((48, 64), 2)
    got, want = play(make("openvino", "bf16"), frames), play(make("eager"), frames)
    assert float((got[1][0] - want[1][0]).abs().mean()) < 0.01


def test_formats():
    assert set(FORMATS) == set(BACKENDS)
    network = nn.Conv2d(3, 3, 1)
    both = NETWORKS["d-daiam-rt"]
    cpu = torch.device("cpu")

    def dtype(backend, precision):
        return make_program(network, both, backend=backend, device=cpu, precision=precision).dtype

    assert dtype("onnxruntime", "auto") == torch.float32
    assert dtype("openvino", "bf16") == torch.bfloat16
    with pytest.raises(DeviceError, match=r"'onnxruntime' does not compute in bf16.*fp32"):
        dtype("onnxruntime", "bf16")
    with pytest.raises(DeviceError, match="unknown precision"):
        dtype("onnxruntime", "int3")


def test_unknown_names():
    with pytest.raises(DeviceError, match="'opnvino'; did you mean 'openvino'"):
        check_name("opnvino")
    with pytest.raises(DeviceError, match="use auto, eager"):
        check_name("zzz")


def test_signature_of_a_recurrent_network(network, descriptor):
    signature = signature_of(network, descriptor)
    assert signature.inputs == ("frame", "state_0", "state_1")
    assert signature.outputs == ("image", "streaks", "drops", "next_state_1")
    assert signature.feedback == {"state_0": "image", "state_1": "next_state_1"}
    assert signature.initial == {"state_0": "frame", "state_1": "zeros"}


def test_signature_of_a_stateless_network():
    from rainclear.nn.dam import DAM

    signature = signature_of(DAM("drops", width=4).eval(), NETWORKS["dam"])
    assert signature.inputs == ("frame",)
    assert signature.outputs == ("image", "drops")
    assert signature.feedback == {}


def test_a_network_of_two_pictures_is_refused():
    class Two(nn.Conv2d):
        def forward(self, left, right):
            return super().forward(left)

    with pytest.raises(ModelError, match="does not take one picture and its state"):
        signature_of(Two(3, 3, 1), NETWORKS["dam"])


def test_start_state(network):
    x = torch.rand(1, 3, 16, 24)
    image, hidden = start_state(network, x)
    assert image is x and not hidden.any()
    assert start_state(nn.Identity(), x) == ()


@pytest.mark.skipif(not installed("openvino"), reason="openvino is not installed")
def test_openvino_does_not_count_its_uses(tmp_path):
    code = (
        "from rainclear.runtime.backends.quiet import import_quietly\n"
        "import_quietly('openvino')\n"
        "import sys\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
