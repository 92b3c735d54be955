"""An ensemble on graph runtimes: the pictures and states of the module itself."""

import pytest
import torch

from rainclear.nn.ensemble import SelfEnsemble
from rainclear.nn.registry import NETWORKS
from rainclear.nn.reparam import fold_reparam
from rainclear.runtime.backends.base import Program, byte_backend
from rainclear.runtime.backends.eager import EagerBackend
from rainclear.runtime.backends.ensemble import EnsembleBackend
from rainclear.runtime.backends.int8_files import weights_digest
from rainclear.runtime.backends.make import make_backend
from rainclear.runtime.load import load_model

TINY = {"channels": 16, "deep_channels": 16, "deep_blocks": 1, "hidden": 8, "veil": True}


@pytest.fixture
def program(cpu):
    torch.manual_seed(0)
    network = SelfEnsemble(network=TINY)
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    network = fold_reparam(network).eval()
    return Program(network=network, descriptor=NETWORKS["d-daiam-s"], device=cpu)


@pytest.fixture(params=["openvino", "onnxruntime"])
def backend(request, program):
    pytest.importorskip(request.param)
    return make_backend(request.param, program)


def clip(count=1, frames=3, height=40, width=56):
    """Blurred noise, N×H×W×3 uint8."""
    noise = torch.rand(frames, count, 3, height, width, generator=torch.Generator().manual_seed(3))
    smooth = [torch.nn.functional.avg_pool2d(frame, 7, 1, 3) for frame in noise]
    return [(255 * x).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous() for x in smooth]


def floats(levels):
    return levels.permute(0, 3, 1, 2).float() / 255


def test_it_is_wrapped_for_graph_runtimes_alone(backend, program):
    assert isinstance(backend, EnsembleBackend) and backend.name in ("openvino", "onnxruntime")
    assert isinstance(make_backend("eager", program), EagerBackend)
    assert (byte_backend(backend) is not None) == (backend.name == "openvino")


def test_floats_with_state(backend, program):
    backend.prepare((40, 56))
    mine = theirs = None
    for frame in clip():
        got, want = backend.run(floats(frame), mine), program.network(floats(frame), theirs)
        mine, theirs = got.state, want.state
        assert (255 * (got.image - want.image).abs()).mean() < 0.3
        for name in ("streaks", "drops"):
            attention = getattr(want, name).attention
            shown = getattr(got, name).attention
            apart = attention.shape[-1] // shown.shape[-1]
            close = (shown - attention[..., ::apart, ::apart]).abs()
            assert close.mean() < 0.005 and shown.shape[0] == 1


def test_bytes_with_state(program):
    pytest.importorskip("openvino")
    backend = make_backend("openvino", program)
    mine = theirs = None
    for frame in clip():
        got, want = backend.run_bytes(frame, mine), program.network(floats(frame), theirs)
        mine, theirs = got.state, want.state
        assert got.image.dtype == torch.uint8
        gap = (got.image.float() - 255 * want.image.clamp(0, 1)).abs()
        assert gap.mean() < 0.5 and gap.max() < 4


def test_what_it_returned_stays_while_the_next_frame_runs(program):
    pytest.importorskip("openvino")
    backend = make_backend("openvino", program)
    first, second, _ = clip()
    out = backend.run_bytes(first, None)
    image, state = out.image.clone(), [t.clone() for t in out.state]
    backend.run_bytes(second, out.state)
    assert torch.equal(out.image, image)
    assert all(torch.equal(a, b) for a, b in zip(out.state, state, strict=True))


def test_streams_of_a_batch_do_not_mix(program):
    pytest.importorskip("openvino")
    backend = make_backend("openvino", program)
    first, second, _ = clip(count=2)
    together = backend.run_bytes(second, backend.run_bytes(first, None).state).image
    for i in range(2):
        alone = backend.run_bytes(first[i : i + 1], None).state
        image = backend.run_bytes(second[i : i + 1], alone).image
        assert (together[i : i + 1].float() - image.float()).abs().max() <= 1


def test_int8_takes_the_ranges_of_the_network(cpu):
    pytest.importorskip("openvino")
    network = load_model("d-daiam-s")
    assert weights_digest(network) == weights_digest(load_model("d-daiam-rt"))
    program = Program(network=network, descriptor=NETWORKS["d-daiam-s"], device=cpu)
    backend = make_backend("openvino-int8", program)
    assert isinstance(backend, EnsembleBackend) and backend.takes_bytes
    state = before = None
    for frame in clip(height=64, width=96):
        out, want = backend.run_bytes(frame, state), network(floats(frame), before)
        state, before = out.state, want.state
        assert (out.image.float() - 255 * want.image.clamp(0, 1)).abs().mean() < 1.5


def test_ranges_of_another_network_do_not_fit(program):
    pytest.importorskip("openvino")
    from rainclear.errors import DeviceError

    with pytest.raises(DeviceError, match="knows no ranges of this network"):
        make_backend("openvino-int8", program)
