import warnings
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from rainclear.errors import DeviceError, InputError, ModelError
from rainclear.frame import ColorDescription, Frame
from rainclear.nn.registry import NETWORKS
from rainclear.runtime import device as device_module
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.device import resolve_device, resolve_precision
from rainclear.runtime.gate import RainGate, RainReading
from rainclear.runtime.load import load_model


def differ(a, b) -> bool:
    return int(np.abs(a.astype(int) - b.astype(int)).max()) > 1


def test_the_tiny_network_changes_the_picture(derainer, picture):
    # Otherwise most tests below could not fail.
    assert differ(derainer.process(picture()), picture())


def test_bgr_in_bgr_out_is_rgb_in_rgb_out(derainer, picture):
    rgb = derainer.process(picture())
    derainer.reset()
    bgr = derainer(picture()[..., ::-1])
    np.testing.assert_array_equal(bgr[..., ::-1], rgb)
    assert differ(bgr, rgb)


def test_the_gate_knows_where_the_encoder_begins_anew(derainer, picture, monkeypatch):
    told = []

    def read(gate, out, height, width, *, fresh=False):
        told.append(fresh)
        return RainReading(score=0.0)

    monkeypatch.setattr(RainGate, "__call__", read)
    for n in range(20):
        derainer.process(picture(n))
    kept = derainer.state
    for n in range(20, 36):
        derainer.process(picture(n))
    assert [n for n, fresh in enumerate(told) if fresh] == [0, 16, 32]
    told.clear()
    derainer.restore(kept)
    for n in range(20, 36):
        derainer.process(picture(n))
    assert [n for n, fresh in enumerate(told, 20) if fresh] == [32]


def test_matches_the_network_itself(derainer, tiny_model, picture):
    x = torch.from_numpy(picture()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        wanted = load_model(str(tiny_model))(x).image.clamp(0, 1) * 255
    wanted = wanted[0].round().permute(1, 2, 0).numpy().astype(int)
    assert np.abs(wanted - derainer.process(picture())).max() <= 1


def test_opencv_can_draw_on_what_a_call_returns(derainer, picture):
    result = derainer(picture())
    assert result.flags.c_contiguous and result.flags.writeable
    cv2.putText(result, "42", (2, 20), cv2.FONT_HERSHEY_PLAIN, 1, (0, 0, 255))
    torch.from_numpy(result)


def test_the_input_is_left_alone(derainer, picture):
    frame = picture()
    derainer(frame)
    derainer.process(frame)
    np.testing.assert_array_equal(frame, picture())


@pytest.mark.parametrize("size", [(64, 48), (61, 43), (9, 8), (3, 5), (1, 1)])
def test_any_size_is_kept(derainer, picture, size):
    width, height = size
    result = derainer.process(picture(0, width, height))
    assert result.shape == (height, width, 3) and result.dtype == np.uint8


def test_padding_repeats_the_edge(derainer, picture):
    small = picture()[:43, :61]
    padded = np.pad(small, ((0, 5), (0, 3), (0, 0)), mode="edge")
    wanted = derainer.process(padded)[:43, :61]
    derainer.reset()
    assert np.abs(derainer.process(small).astype(int) - wanted).max() <= 1


def test_uint16_keeps_its_depth(derainer, picture):
    deep = derainer.process(picture().astype(np.uint16) * 257)
    derainer.reset()
    eight = derainer.process(picture())
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - eight).max() <= 0.51
    assert (deep % 257).any()


@pytest.mark.parametrize("view", ["strided", "flipped", "fortran", "read-only"])
def test_any_memory_layout(derainer, picture, view):
    frame = picture()
    wanted = derainer.process(frame)
    derainer.reset()
    other = {
        "strided": np.repeat(frame, 2, axis=1)[:, ::2],
        "flipped": np.ascontiguousarray(frame[::-1])[::-1],
        "fortran": np.asfortranarray(frame),
        "read-only": frame.copy(),
    }[view]
    other.flags.writeable = view != "read-only"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(derainer.process(other), wanted)


def test_state_is_carried_and_reset_forgets_it(derainer, picture):
    first, second = picture(0), picture(1)
    fresh = derainer.process(second)
    derainer.reset()
    derainer.process(first)
    assert differ(derainer.process(second), fresh)
    derainer.reset()
    np.testing.assert_array_equal(derainer.process(second), fresh)


def test_a_stream_goes_on_from_its_state(derainer, picture):
    derainer.process(picture(0))
    state = derainer.state
    wanted = derainer.process(picture(1))
    derainer.reset()
    assert differ(derainer.process(picture(1)), wanted)
    derainer.restore(state)
    np.testing.assert_array_equal(derainer.process(picture(1)), wanted)


@pytest.mark.parametrize("backend", ["eager", "onnxruntime", "openvino"])
def test_a_state_outlives_the_frames_after_it(tiny_model, picture, backend):
    if backend != "eager":
        pytest.importorskip(backend)
    derainer = Derainer(str(tiny_model), device="cpu", precision="fp32", backend=backend)
    derainer.process(picture(0))
    state = derainer.state
    wanted = derainer.process(picture(1))
    for seed in range(2, 6):
        derainer.process(picture(seed))
    derainer.restore(state)
    np.testing.assert_array_equal(derainer.process(picture(1)), wanted)


@pytest.mark.parametrize("size", [(80, 56), (62, 46)])
def test_another_size_starts_a_new_stream(derainer, picture, size):
    # 62x46 is padded to the same 64x48 as the frame before it.
    other = picture(0, *size)
    fresh = derainer.process(other)
    derainer.reset()
    derainer.process(picture())
    np.testing.assert_array_equal(derainer.process(other), fresh)


def test_a_cut_starts_a_new_stream(derainer, picture):
    night = picture() // 8
    fresh = derainer.process(night)
    derainer.reset()
    derainer.process(picture())
    np.testing.assert_array_equal(derainer.process(night), fresh)


def test_a_gradual_change_is_no_cut(derainer, picture):
    darker = picture() - 25
    fresh = derainer.process(darker)
    derainer.reset()
    derainer.process(picture())
    assert differ(derainer.process(darker), fresh)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "frame",
        [[[1, 2, 3]]],
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((1, 48, 64, 3), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((48, 64, 3), np.int8),
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((48, 0, 3), np.uint8),
        np.array(3, np.uint8),
        torch.zeros(48, 64, 3, dtype=torch.uint8),
    ],
    ids=lambda bad: f"{type(bad).__name__}{getattr(bad, 'shape', '')}",
)
def test_bad_arrays_are_refused_and_do_not_spoil_the_stream(derainer, picture, bad):
    for method in (derainer, derainer.process):
        with pytest.raises(InputError, match="frame must be"):
            method(bad)
    with pytest.raises(InputError):
        list(derainer.stream([Frame(pixels=bad)]))
    np.testing.assert_array_equal(derainer.process(picture()), derainer_fresh(derainer, picture()))


def derainer_fresh(derainer, frame):
    derainer.reset()
    return derainer.process(frame)


def test_message_names_what_was_given(derainer):
    with pytest.raises(InputError, match=r"not float32 of shape \(4, 4, 3\)"):
        derainer.process(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(InputError, match="not NoneType"):
        derainer(None)
    with pytest.raises(InputError, match="of uint8, not uint16"):
        derainer(np.zeros((4, 4, 3), np.uint16))


def test_frames_keep_everything_but_pixels(derainer, picture):
    frame = Frame(
        pixels=picture(),
        pts=901,
        time_base=Fraction(1, 90000),
        duration=3003,
        index=7,
        rotation=90,
        color=ColorDescription(matrix=1, range=2),
        metadata={"camera": "left"},
    )
    (result,) = derainer.stream([frame])
    for name in ("pts", "time_base", "duration", "index", "rotation", "color"):
        assert getattr(result, name) == getattr(frame, name)
    told = {"rain_score": derainer.rain_score, "rain_reading": derainer.reading}
    assert result.metadata == {"camera": "left", **told}
    assert 0 < result.metadata["rain_score"] < 1
    assert frame.metadata == {"camera": "left"}
    np.testing.assert_array_equal(frame.pixels, picture())


def test_stream_takes_arrays_as_opencv_gives_them(derainer, picture):
    bgr = [picture(i)[..., ::-1] for i in range(2)]
    wanted = [derainer(frame) for frame in bgr]
    derainer.reset()
    for got, want in zip(derainer.stream(bgr), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def test_stream_is_lazy(derainer, picture):
    taken = []

    def source():
        for i in range(5):
            taken.append(i)
            yield Frame(pixels=picture(i))

    results = derainer.stream(source())
    assert taken == []
    next(results)
    next(results)
    assert taken == [0, 1]


def test_rain_score_follows_the_attention(picture):
    class Net(torch.nn.Module):
        def forward(self, x, state=None):
            from rainclear.nn.output import Branch, Derained, Stage

            def branch(value):
                attention = torch.full_like(x[:, :1], value)
                return Branch(attention=attention, heavy=None, light=None, image=None)

            stage = Stage(x, branch(0.5), branch(0.2))
            return Derained(image=x, state=(x,), stages=(stage,))

    derainer = Derainer.from_network(Net(), NETWORKS["d-daiam-rt"], device="cpu")
    np.testing.assert_array_equal(derainer.process(picture()), picture())
    assert derainer.rain_score == pytest.approx(1 - 0.5 * 0.8)


def test_bf16_on_a_cpu_is_close_to_fp32(derainer, tiny_model, picture):
    half = Derainer(str(tiny_model), device="cpu", precision="bf16")
    frames = [picture(i) for i in range(2)]
    for got, want in zip(half.stream(frames), derainer.stream(frames), strict=True):
        assert np.abs(got.astype(int) - want).mean() < 2
    assert half.device.type == "cpu"


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_without_cuda_is_named(tiny_model, name):
    with pytest.raises(DeviceError, match=f"'{name}'.*no CUDA.*--device cpu"):
        Derainer(str(tiny_model), device=name)


@pytest.mark.usefixtures("no_cuda")
def test_auto_falls_back_to_the_cpu():
    assert resolve_device("auto") == torch.device("cpu")


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto").type == "cuda"
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="no cuda:2; this machine has cuda:0 to cuda:1"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:-1", "mps", "meta"])
def test_unknown_devices(name):
    with pytest.raises(DeviceError, match=f"'{name}'.*use auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_precisions():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    both = ("bf16", "fp32")
    assert resolve_precision("auto", gpu, both) == torch.bfloat16
    assert resolve_precision("auto", gpu, ("fp32",)) == torch.float32
    assert resolve_precision("bf16", cpu, both) == torch.bfloat16
    assert resolve_precision("fp16", gpu, ("fp32", "fp16")) == torch.float16
    with pytest.raises(DeviceError, match="unknown precision 'int8'; use one of: auto, fp32"):
        resolve_precision("int8", cpu, both)
    with pytest.raises(DeviceError, match="not checked in fp16; use one of: bf16, fp32"):
        resolve_precision("fp16", gpu, both)
    with pytest.raises(DeviceError, match="fp16 needs a GPU"):
        resolve_precision("fp16", cpu, ("fp32", "fp16"))


@pytest.mark.parametrize("has_bf16", [False, True])
def test_auto_precision_on_a_cpu_goes_by_its_instructions(monkeypatch, has_bf16):
    monkeypatch.setattr(device_module, "_cpu_has_bf16", lambda: has_bf16)
    cpu = torch.device("cpu")
    wanted = torch.bfloat16 if has_bf16 else torch.float32
    assert resolve_precision("auto", cpu, ("fp32", "bf16")) == wanted
    assert resolve_precision("auto", cpu, ("fp32", "fp16")) == torch.float32


def test_fp16_on_a_cpu_is_refused(tiny_model):
    with pytest.raises(DeviceError, match="fp16"):
        Derainer(str(tiny_model), device="cpu", precision="fp16")


def test_a_model_is_looked_for_before_the_device():
    with pytest.raises(ModelError, match="no-such-model"):
        Derainer("no-such-model", device="no-such-device")


@pytest.mark.gpu
@pytest.mark.parametrize("deep", [False, True])
def test_gpu_is_close_to_cpu(derainer, tiny_model, picture, deep):
    on_gpu = Derainer(str(tiny_model), device="cuda", precision="fp32")
    step = 257 if deep else 1
    kind = np.uint16 if deep else np.uint8
    frames = [Frame(pixels=picture(i).astype(kind) * kind(step)) for i in (0, 1)]
    for got, want in zip(on_gpu.stream(frames), derainer.stream(frames), strict=True):
        assert got.pixels.dtype == want.pixels.dtype
        assert np.abs(got.pixels.astype(int) - want.pixels).max() <= 2 * step
        assert got.metadata["rain_score"] == pytest.approx(want.metadata["rain_score"], abs=1e-2)


class InBytes:
    """A backend that takes bytes, and darkens by as many levels as it has seen frames before."""

    name, takes_bytes = "in bytes", True

    def __init__(self, inner):
        self.inner, self.kinds = inner, []

    def prepare(self, size):
        self.inner.prepare(size)

    def run(self, batch, state):
        self.kinds.append(("float", state is None))
        return self.inner.run(batch, state)

    def run_bytes(self, batch, state):
        assert batch.dtype == torch.uint8 and batch.is_contiguous()
        self.kinds.append(("bytes", state is None))
        seen = 0 if state is None else int(state[0])
        floats = batch.permute(0, 3, 1, 2).float() / 255
        out = self.inner.run(floats, None)
        image = batch.permute(0, 3, 1, 2) - seen
        return out._replace(image=image, state=(torch.tensor(seen + 1),))


def test_a_backend_that_takes_bytes_gets_them_and_keeps_its_own_state(
    derainer, picture, monkeypatch
):
    backend = InBytes(derainer._backend)
    monkeypatch.setattr(derainer, "_backend", backend)
    rgb = np.maximum(picture()[:45, :61], 8)  # no multiple of the network's size
    first, second = derainer.process(rgb), derainer.process(rgb)
    np.testing.assert_array_equal(first, rgb)
    np.testing.assert_array_equal(second, rgb - 1)
    deep = derainer.process(rgb.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    derainer.process(rgb)
    kinds = ["bytes", "bytes", "float", "bytes"]
    assert backend.kinds == list(zip(kinds, [True, False, True, True], strict=True))
