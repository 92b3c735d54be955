"""d-daiam-rt: its budget, its state, and that folding changes nothing."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rainclear.nn.output import Derained
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.reparam import RepConv2d, fold_reparam
from rainclear.runtime.load import build_network
from rainclear.training.run import read_recipe


def picture(seed: int = 1, *, n: int = 1, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def stirred(seed: int = 0) -> RealtimeDDAiAM:
    """A network whose every parameter matters: a fresh one is nearly the identity."""
    torch.manual_seed(seed)
    network = RealtimeDDAiAM()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, RepConv2d):
                module.point.normal_(std=0.05)
                module.edge.normal_(std=0.05)
        network.refine_image.weight.normal_(std=0.05)
        network.coarse_image.weight.normal_(std=0.05)
    return network.eval()


@pytest.fixture
def network() -> RealtimeDDAiAM:
    return stirred()


def test_parameter_counts() -> None:
    network = RealtimeDDAiAM()
    assert count(network) == 418_000
    assert count(network.branch_image) == 3_264
    fold_reparam(network)
    assert count(network) - count(network.branch_image) == 293_904  # <= 0.3 M: MODELS.md, 3


def test_budget_of_a_720p_frame_as_shipped() -> None:
    with torch.device("meta"):
        network = fold_reparam(build_network(read_recipe("d-daiam-rt", []).architecture)).eval()
        x, state = torch.rand(1, 3, 720, 1280), None
        with FlopCounterMode(display=False) as counter:
            network(x, state)
    assert count(network) - count(network.branch_image) <= 300_000
    multiply_adds = counter.get_total_flops() / 2 / 1e9
    assert 8 < multiply_adds <= 12


@torch.no_grad()
def test_folding_keeps_the_output(network: RealtimeDDAiAM) -> None:
    x = [picture(seed) for seed in range(3)]
    before, state = [], None
    for frame in x:
        out = network(frame, state)
        before.append(out)
        state = out.state
    assert fold_reparam(network) is network
    state = None
    for frame, expected in zip(x, before, strict=True):
        out = network(frame, state)
        state = out.state
        torch.testing.assert_close(out.image, expected.image, atol=1e-5, rtol=0)
        torch.testing.assert_close(out.state[1], expected.state[1], atol=1e-5, rtol=0)
    assert (before[0].image - x[0]).abs().mean() > 0.01


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("branch", ["point", "edge"])
def test_each_branch_of_a_convolution_counts(branch: str, stride: int) -> None:
    torch.manual_seed(0)
    conv, x = RepConv2d(3, 5, stride=stride), picture()
    with torch.no_grad():
        plain = conv(x)
        getattr(conv, branch).normal_()
        full = conv(x)
        fold_reparam(conv)
        assert (full - plain).abs().mean() > 0.1
        torch.testing.assert_close(conv(x), full, atol=1e-5, rtol=0)
        fold_reparam(conv)  # a second time: nothing is left to fold
        torch.testing.assert_close(conv(x), full, atol=1e-5, rtol=0)
    assert plain.shape == (1, 5, 32 // stride, 48 // stride)
    assert set(conv.state_dict()) == {"weight", "bias"}


def test_an_edge_branch_is_an_edge_filter() -> None:
    conv = RepConv2d(1, 1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.edge[0] = 8.0
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    middle = conv(ramp)[0, 0, 2:-2, 2:-2]
    torch.testing.assert_close(middle, torch.full_like(middle, -8.0))  # Sobel over a slope of 1


def test_folded_weights_load_into_a_folded_network(network: RealtimeDDAiAM) -> None:
    weights = fold_reparam(network).state_dict()
    assert not any(name.endswith((".point", ".edge", ".filters")) for name in weights)
    other = fold_reparam(stirred(seed=9)).eval()
    x = picture()
    with torch.no_grad():
        assert not torch.equal(other(x).image, network(x).image)
        assert str(other.load_state_dict(weights, strict=True)) == "<All keys matched successfully>"
        assert torch.equal(other(x).image, network(x).image)


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (32, 48), (40, 24)])
def test_shapes(network: RealtimeDDAiAM, size: tuple[int, int]) -> None:
    height, width = size
    x = picture(n=2, height=height, width=width)
    out = network(x)
    assert out.image.shape == x.shape
    image, memory = out.state
    assert image is out.image
    assert memory.shape == (2, 17, height // 8, width // 8)
    for branch in (out.streaks, out.drops):
        assert branch.attention.shape == (2, 1, height, width)
        assert branch.attention.min() >= 0
        assert branch.attention.max() <= 1
    assert not torch.equal(out.streaks.attention, out.drops.attention)


@torch.no_grad()
def test_the_state_decides_the_next_frame(network: RealtimeDDAiAM) -> None:
    x = picture(1)
    image, memory = network(picture(2)).state
    fresh = network(x).image
    carried = network(x, (image, memory)).image
    assert (carried - fresh).abs().max() > 1e-4
    assert torch.equal(network(x, (image, memory)).image, carried)
    # Both parts matter, each for itself.
    assert (network(x, (image, torch.zeros_like(memory))).image - carried).abs().max() > 1e-5
    assert (network(x, (x, memory)).image - carried).abs().max() > 1e-5


@torch.no_grad()
def test_a_closed_gate_keeps_the_memory_and_an_open_one_replaces_it(
    network: RealtimeDDAiAM,
) -> None:
    bias, x, memory = network.memory.gates.bias, picture(), torch.rand(1, 17, 4, 6)
    bias[:16] = -100.0
    torch.testing.assert_close(network(x, (x, memory)).state[1][:, :16], memory[:, :16])
    bias[:16], bias[16:] = 100.0, 100.0
    after = network(x, (x, memory)).state[1][:, :16]
    torch.testing.assert_close(after, torch.ones_like(after))


@torch.no_grad()
def test_the_initial_state_is_that_of_no_state(network: RealtimeDDAiAM) -> None:
    x = picture()
    assert torch.equal(network(x, network.initial_state(x)).image, network(x).image)


@torch.no_grad()
def test_after_sixteen_frames_the_encoder_begins_anew_and_the_veil_stays() -> None:
    torch.manual_seed(0)
    network = stirred()
    veiled = RealtimeDDAiAM(veil=True).eval()
    veiled.load_state_dict(network.state_dict(), strict=False)
    assert veiled.unveil is not None
    nn.init.normal_(veiled.unveil.expand.weight)
    state: tuple[Tensor, ...] | None = None
    for i in range(16):
        state = veiled(picture(i), state).state
    assert state is not None
    x, (previous, memory) = picture(16), state
    anew = torch.zeros_like(memory)
    anew[:, veiled.hidden : -1] = memory[:, veiled.hidden : -1]
    there, begun = veiled(x, state), veiled(x, (x, anew))
    torch.testing.assert_close(there.image, begun.image, atol=0, rtol=0)
    torch.testing.assert_close(there.state, begun.state, atol=0, rtol=0)
    assert (veiled(x).image - there.image).abs().max() > 1e-4  # the veil's mean
    memory[:, -1] -= 1
    assert (veiled(x, (previous, memory)).image - there.image).abs().max() > 1e-4


@torch.no_grad()
def test_streams_of_a_batch_begin_anew_each_at_its_own_time(network: RealtimeDDAiAM) -> None:
    states: list[tuple[Tensor, ...]] = []
    for length in (16, 5):
        state: tuple[Tensor, ...] | None = None
        for i in range(length):
            state = network(picture(i), state).state
        assert state is not None
        states.append(state)
    together = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    x = picture(20)
    both = network(x.expand(2, -1, -1, -1), together).image
    for i, state in enumerate(states):
        torch.testing.assert_close(both[i : i + 1], network(x, state).image)


@torch.no_grad()
def test_pictures_of_a_batch_do_not_mix(network: RealtimeDDAiAM) -> None:
    both = torch.cat([picture(1), picture(2)])
    torch.testing.assert_close(network(both).image[1:], network(both[1:]).image)


def test_branch_pictures_are_built_in_training_alone(network: RealtimeDDAiAM) -> None:
    x = picture()
    evaluated, trained = network.eval()(x), network.train()(x)
    assert torch.equal(evaluated.image, trained.image)
    assert len(trained.stages) == 2
    assert trained.stages[0].image.shape == x.shape
    for branch in (trained.streaks, trained.drops):
        assert branch.heavy.shape == branch.light.shape == x.shape
    for branch in (evaluated.streaks, evaluated.drops):
        assert branch.heavy is branch.light is branch.image is None


def test_gradient_reaches_every_parameter_over_two_frames() -> None:
    torch.manual_seed(0)
    network, state = RealtimeDDAiAM().train(), None
    loss = torch.zeros(())
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


@torch.no_grad()
def test_an_untrained_network_does_no_harm() -> None:
    torch.manual_seed(0)
    x = picture()
    assert (RealtimeDDAiAM().eval()(x).image - x).abs().max() < 0.1
