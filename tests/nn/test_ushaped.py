"""d-daiam-u: its budget, its state, and that folding changes nothing."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rainclear.nn.output import Derained, show_details
from rainclear.nn.pyramid import Floor, WindowGate, res_blocks
from rainclear.nn.reparam import RepConv2d, fold_reparam
from rainclear.nn.ushaped import UDDAiAM
from rainclear.runtime.load import build_network
from rainclear.training.run import read_recipe

TINY = {"widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 2), "refine": (1, 1), "hidden": 4}


def picture(seed: int = 1, *, n: int = 1, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def stirred(**options: object) -> UDDAiAM:
    """A network whose every parameter matters: a fresh one is nearly the identity."""
    torch.manual_seed(0)
    network = UDDAiAM(**(TINY | options))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, RepConv2d) and module.point is not None:
                module.point.normal_(std=0.05)
                module.edge.normal_(std=0.05)
            if isinstance(module, WindowGate):
                module.expand.weight.normal_(std=0.5)
        network.refine_image.weight.normal_(std=0.05)
        network.coarse_image.weight.normal_(std=0.05)
    return network.eval()


@pytest.fixture
def network() -> UDDAiAM:
    return stirred()


def test_parameters_and_multiply_adds_of_a_720p_frame() -> None:
    with torch.device("meta"):
        network = fold_reparam(build_network(read_recipe("d-daiam-u", []).architecture)).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.rand(1, 3, 720, 1280))
    read = count(network) - count(network.branch_image) - count(network.first.branch_image)
    assert read == 5_346_978
    multiply_adds = counter.get_total_flops() / 2 / 1e9
    assert 80 < multiply_adds <= 100


def test_a_fresh_network_is_nearly_the_identity() -> None:
    torch.manual_seed(0)
    network, x = UDDAiAM().eval(), picture()
    with torch.no_grad():
        assert (network(x).image - x).abs().max() < 0.1


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"block": 4, "widths": (16, 8, 8), "blocks": (1, 1, 1)}])
def test_folding_keeps_the_output(options: dict[str, object]) -> None:
    network = stirred(**options)
    frames = [picture(seed) for seed in range(3)]

    def run() -> list[Derained]:
        state, found = None, []
        for frame in frames:
            found.append(network(frame, state))
            state = found[-1].state
        return found

    before = run()
    fold_reparam(network)
    for out, expected in zip(run(), before, strict=True):
        torch.testing.assert_close(out.image, expected.image, atol=1e-5, rtol=0)
        torch.testing.assert_close(out.state[1], expected.state[1], atol=1e-5, rtol=0)
    assert (before[0].image - frames[0]).abs().mean() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (40, 24), (32, 48)])
def test_shapes(network: UDDAiAM, size: tuple[int, int]) -> None:
    height, width = size
    out = network(picture(n=2, height=height, width=width))
    assert out.image.shape == (2, 3, height, width)
    image, memory = out.state
    assert image is out.image
    assert memory.shape == (2, 5, height // 8, width // 8)
    for branch in (out.streaks, out.drops):
        assert branch.attention.shape == (2, 1, height, width)
        assert branch.attention.min() >= 0 and branch.attention.max() <= 1
        assert branch.heavy is branch.light is branch.image is None
    assert not torch.equal(out.streaks.attention, out.drops.attention)


@torch.no_grad()
def test_details_show_more_and_change_nothing(network: UDDAiAM) -> None:
    x = picture()
    plain, full = network(x).image, show_details(network)(x)
    assert torch.equal(full.image, plain)
    assert full.streaks.heavy.shape == full.drops.light.shape == x.shape
    assert [stage.differentials is None for stage in full.stages] == [True, False]


@torch.no_grad()
def test_the_state_decides_the_next_frame(network: UDDAiAM) -> None:
    x = picture(1)
    image, memory = network(picture(2)).state
    carried = network(x, (image, memory)).image
    assert torch.equal(network(x, network.initial_state(x)).image, network(x).image)
    assert (network(x, (image, torch.zeros_like(memory))).image - carried).abs().max() > 1e-5
    assert (network(x, (x, memory)).image - carried).abs().max() > 1e-5


@torch.no_grad()
def test_pictures_of_a_batch_do_not_mix(network: UDDAiAM) -> None:
    both = torch.cat([picture(1), picture(2)])
    torch.testing.assert_close(network(both).image[1:], network(both[1:]).image)


@torch.no_grad()
def test_every_channel_of_a_type_is_weighed_by_its_type(network: UDDAiAM) -> None:
    """With four channels a pixel: no drops anywhere, S⁺ = 0, and their heavy channels are zero."""
    network.attention.weight.zero_()
    network.attention.point.zero_()
    network.attention.edge.zero_()
    network.attention.bias[:4], network.attention.bias[4:] = 100.0, -100.0
    weighted = network._attend(torch.rand(1, 8, 4, 4)).weighted
    heavy_streaks, heavy_drops, light_streaks, light_drops = weighted.chunk(4, 1)
    assert heavy_drops.abs().max() == light_streaks.abs().max() == 0
    assert heavy_streaks.shape[1] == 16
    assert heavy_streaks.abs().amin((0, 2, 3)).min() > 0
    assert light_drops.abs().amin((0, 2, 3)).min() > 0


@torch.no_grad()
def test_it_sees_far() -> None:
    network = stirred(blocks=(1, 1, 1, 4))
    x = picture(height=64, width=512)
    changed = x.clone()
    changed[..., -16:] = 1 - changed[..., -16:]
    difference = (network(changed).image - network(x).image).abs().amax((0, 1, 2))
    assert difference[280] > 0  # more than 200 pixels from the nearest that changed


def test_gradient_reaches_every_parameter_over_two_frames(network: UDDAiAM) -> None:
    network.train()
    state, loss = None, torch.zeros(())
    for seed in range(2):
        out: Derained = network(picture(seed), state)
        state = out.state
        parts = [stage.image for stage in out.stages]
        for branch in (out.streaks, out.drops):
            parts += [part for part in branch if part is not None]
        loss = loss + torch.stack([(part - 0.4).square().mean() for part in parts]).sum()
    loss.backward()
    silent = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 3}, "block is 3"),
        ({"widths": (8, 8, 8)}, "4 floors"),
        ({"blocks": (1, 1, 1)}, "4 floors"),
        ({"typed": 6}, "no multiple of 4"),
    ],
)
def test_what_it_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UDDAiAM(**(TINY | options))


@torch.no_grad()
def test_a_gate_sees_the_same_in_a_crop_and_in_the_picture() -> None:
    torch.manual_seed(0)
    gate, x = WindowGate(8, window=3), torch.rand(1, 8, 12, 12)
    assert torch.equal(gate(x), x)
    gate.expand.weight.normal_()
    torch.testing.assert_close(gate(x)[..., 3:8, 3:8], gate(x[..., 2:9, 2:9])[..., 1:-1, 1:-1])
    corner = gate.expand(
        torch.nn.functional.leaky_relu(gate.reduce(x[..., :2, :2].mean((2, 3), True)), 0.1)
    )
    torch.testing.assert_close(gate(x)[..., :1, :1], x[..., :1, :1] * 2 * torch.sigmoid(corner))


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (4, 6)])
def test_a_floor_keeps_the_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    floor, x = Floor(4, 8, res_blocks(8, 1)), torch.rand(1, 4, *size)
    assert floor(x).shape == x.shape
    assert not torch.equal(floor(x), x)


CASCADE = {"first": {"channels": 8, "deep_channels": 8, "hidden": 4}, "veil": True}


def test_a_fresh_cascade_gives_the_first_network_s_picture() -> None:
    torch.manual_seed(0)
    network = UDDAiAM(**TINY, **CASCADE).eval()
    with torch.no_grad():
        network.first.refine_image.weight.normal_(std=0.05)
        state = first_state = None
        for seed in range(3):
            x = picture(seed)
            out, first = network(x, state), network.first(x, first_state)
            state, first_state = out.state, first.state
            assert (first.image - x).abs().mean() > 0.02
            assert (out.image - first.image).abs().max() < 0.1
            for carried, expected in zip(state[2:], first_state, strict=True):
                assert torch.equal(carried, expected)


@torch.no_grad()
def test_a_cascade_begins_with_the_state_of_both() -> None:
    network, x = stirred(**CASCADE), picture()
    state = network.initial_state(x)
    assert [tuple(t.shape[1:]) for t in state] == [
        (3, 32, 48),
        (4 + 7 + 1, 4, 6),
        (3, 32, 48),
        (4 + 1, 4, 6),
    ]
    assert torch.equal(network(x).image, network(x, state).image)
    before = network(x).streaks.attention
    network.first.attention.bias += 3.0  # the encoder sees what the first network found
    assert not torch.equal(network(x).streaks.attention, before)


@torch.no_grad()
def test_a_cascade_folds_and_its_first_network_stays_in_evaluation_mode() -> None:
    network, x = stirred(**CASCADE), picture()
    before = network(x).image
    assert not network.train().first.training
    assert len(network(x).stages) == 2
    torch.testing.assert_close(fold_reparam(network).eval()(x).image, before, atol=1e-5, rtol=0)
