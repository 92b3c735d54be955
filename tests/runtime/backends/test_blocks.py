import pytest
import torch

from rainclear.errors import DeviceError
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.reparam import fold_reparam
from rainclear.nn.ushaped import UDDAiAM
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.blocks import block_graph
from rainclear.runtime.backends.eager import EagerBackend
from rainclear.runtime.backends.layout import from_blocks, to_blocks
from rainclear.runtime.backends.measure import moving_frames


def made(kind=RealtimeDDAiAM, **options):
    """A folded network whose heads and veil do something."""
    torch.manual_seed(0)
    network = kind(**options)
    for name, value in network.named_parameters():
        if "image" in name or "unveil" in name:
            torch.nn.init.normal_(value, std=0.05)
    return fold_reparam(network).eval()


def small(**options):
    sizes = {"widths": (16, 16, 16, 16), "blocks": (1, 1, 1, 1), "hidden": 8}
    return made(UDDAiAM, **sizes, **options)


@pytest.fixture
def openvino():
    pytest.importorskip("openvino")
    from rainclear.runtime.backends.openvino import OpenVinoBackend

    return OpenVinoBackend


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_blocks_are_pixel_unshuffle_in_another_order(dtype):
    picture = torch.randint(0, 255, (2, 8, 12, 3)).to(dtype)
    blocks = torch.empty(2, 2, 3, 48, dtype=dtype)
    to_blocks(picture, blocks, 4)
    wanted = torch.nn.functional.pixel_unshuffle(picture.permute(0, 3, 1, 2).float(), 4)
    wanted = wanted.reshape(2, 3, 16, 2, 3).permute(0, 3, 4, 2, 1).reshape(2, 2, 3, 48)
    torch.testing.assert_close(blocks, wanted.to(dtype), rtol=0, atol=0)
    back = torch.empty_like(picture)
    from_blocks(blocks, back, 4)
    assert torch.equal(back, picture)


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (72, 16)])
def test_small_pictures_have_fewer_values_than_a_cell(openvino, descriptor, cpu, size):
    program = Program(network=made(veil=True), descriptor=descriptor, device=cpu)
    x = torch.rand(1, 3, *size)
    got, want = openvino(program).run(x, None).image, EagerBackend(program).run(x, None).image
    torch.testing.assert_close(got, want, atol=1e-3, rtol=0)


def test_a_graph_that_cannot_be_read_is_one_line(openvino, descriptor, cpu, monkeypatch):
    backend = openvino(Program(network=made(), descriptor=descriptor, device=cpu))
    monkeypatch.setattr("rainclear.runtime.backends.openvino.traced", lambda *_, **__: b"no model")
    with pytest.raises(DeviceError, match=r"^OpenVINO cannot run .*another --backend$"):
        backend.prepare((32, 32))


@pytest.mark.parametrize("veil", [False, True])
@pytest.mark.parametrize("make", [made, small])
def test_our_own_networks_have_a_graph_over_blocks(make, veil):
    assert block_graph(make(veil=veil), byte=True) is not None


def test_other_networks_have_none():
    assert block_graph(torch.nn.Conv2d(3, 3, 1), byte=True) is None
    assert block_graph(small(first={"channels": 8, "deep_channels": 8}), byte=True) is None


def test_a_network_that_was_changed_keeps_its_own_way():
    class Changed(RealtimeDDAiAM):
        def forward(self, x, state=None):
            out = super().forward(x, state)
            return out._replace(image=out.image + 0.01)

    assert block_graph(made(), byte=True) is not None
    assert block_graph(made(Changed), byte=True) is None


def test_the_network_itself_is_left_alone():
    network = made(veil=True)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    block_graph(network, byte=False)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_bytes_in_and_out_are_eagers_pictures(openvino, descriptor, cpu):
    network = made(veil=True)
    program = Program(network=network, descriptor=descriptor, device=cpu)
    backend, eager = openvino(program), EagerBackend(program)
    assert backend.takes_bytes
    state = wanted = None
    for frame in moving_frames((48, 64), 4):
        levels = (frame * 255).round().to(torch.uint8)
        want = eager.run(levels / 255, wanted)
        out = backend.run_bytes(levels.permute(0, 2, 3, 1).contiguous(), state)
        state, wanted = out.state, want.state
        assert out.image.dtype == torch.uint8 and out.image.shape == frame.shape
        gap = (out.image.float() - 255 * want.image.clamp(0, 1)).abs()
        assert float(gap.max()) < 1.0  # half a level is rounding, and the state is rounded too
        for got, right in ((out.streaks, want.streaks), (out.drops, want.drops)):
            first_of_blocks = right.attention[..., ::4, ::4]
            torch.testing.assert_close(got.attention, first_of_blocks, atol=5e-3, rtol=0)


def test_in_bf16_the_picture_before_is_carried_exactly(openvino, descriptor, cpu):
    network = made(veil=True)
    program = Program(network=network, descriptor=descriptor, device=cpu, dtype=torch.bfloat16)
    backend = openvino(program)
    state = None
    for frame in moving_frames((48, 64), 3):
        levels = (frame * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        out = backend.run_bytes(levels, state)
        state = out.state
        carried, back = state[0], torch.empty(1, 48, 64, 3)
        assert carried.dtype == torch.bfloat16
        from_blocks(carried.float(), back, 4)
        assert torch.equal(back + 127.5, out.image.permute(0, 2, 3, 1).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bytes_and_floats_may_take_turns(openvino, descriptor, cpu, dtype):
    program = Program(network=made(), descriptor=descriptor, device=cpu, dtype=dtype)
    one, two, three = moving_frames((32, 32), 3)
    backend, floats = openvino(program), openvino(program)
    levels = (one * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    state = backend.run_bytes(levels, None).state
    got = backend.run(three, backend.run(two, state).state).image
    state = floats.run(one, None).state
    want = floats.run(three, floats.run(two, state).state).image
    torch.testing.assert_close(got, want, atol=0.01, rtol=0)
    backend.run_bytes(levels, backend.run(two, None).state)  # and back


def test_what_bytes_returned_outlives_one_more_call(openvino, descriptor, cpu):
    backend = openvino(Program(network=made(), descriptor=descriptor, device=cpu))
    one, two = (torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8) for _ in range(2))
    first = backend.run_bytes(one, None)
    kept = first.image.clone(), first.drops.attention.clone(), [s.clone() for s in first.state]
    backend.run_bytes(two, first.state)
    assert torch.equal(first.image, kept[0]) and torch.equal(first.drops.attention, kept[1])
    assert all(torch.equal(a, b) for a, b in zip(first.state, kept[2], strict=True))


def test_pictures_of_bytes_are_the_callers(openvino, descriptor, cpu):
    backend = openvino(Program(network=made(), descriptor=descriptor, device=cpu))
    frames = [torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8) for _ in range(5)]
    state, images, kept = None, [], []
    for frame in frames:
        out = backend.run_bytes(frame, state)
        state = out.state
        images.append(out.image)
        kept.append(out.image.clone())
    assert all(map(torch.equal, images, kept))
    assert not torch.equal(kept[0], kept[-1])


def test_other_networks_run_as_they_are(openvino, descriptor, cpu, monkeypatch):
    monkeypatch.setattr("rainclear.runtime.backends.openvino.block_graph", lambda *_, **__: None)
    program = Program(network=made(), descriptor=descriptor, device=cpu)
    backend, eager = openvino(program), EagerBackend(program)
    assert not backend.takes_bytes
    x = torch.rand(1, 3, 32, 40)
    torch.testing.assert_close(
        backend.run(x, None).image, eager.run(x, None).image, atol=1e-4, rtol=0
    )
