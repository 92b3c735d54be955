import pytest
import torch
from torch import nn

from rainclear.nn.daiam import DAiAM, StackedDAiAM
from rainclear.nn.output import Derained


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def picture(height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network() -> DAiAM:
    torch.manual_seed(0)
    return DAiAM()


def test_parameter_counts(network: DAiAM) -> None:
    assert count(network.streaks) == count(network.drops) == 1_691_434
    assert count(network.fuse) == 224_963
    assert count(network) == 3_607_831
    weights = sum(p.numel() for p in network.parameters() if p.ndim == 4)
    assert weights == 3_602_304  # Table 6: 3.60 M
    assert count(StackedDAiAM()) == 2 * 3_607_831


@pytest.mark.parametrize("size", [(16, 16), (13, 7)])
def test_shapes(network: DAiAM, size: tuple[int, int]) -> None:
    x = picture(*size)
    result = network.train()(x)
    assert result.state is None
    assert len(result.stages) == 1
    assert result.image.shape == x.shape
    for branch in (result.streaks, result.drops):
        assert branch is not None
        assert branch.attention.shape == (1, 1, *size)
        for image in (branch.heavy, branch.light, branch.image):
            assert image is not None
            assert image.shape == x.shape


def test_evaluation_skips_the_branches_own_pictures(network: DAiAM) -> None:
    x = picture()
    trained, evaluated = network.train()(x), network.eval()(x)
    assert evaluated.streaks.image is None
    assert evaluated.drops.image is None
    assert torch.equal(trained.image, evaluated.image)
    assert torch.equal(trained.streaks.heavy, evaluated.streaks.heavy)


def test_branches_have_their_own_weights(network: DAiAM) -> None:
    result = network(picture())
    assert not torch.equal(result.streaks.attention, result.drops.attention)


def test_gradient_reaches_every_parameter(network: DAiAM) -> None:
    network.train().zero_grad()
    result: Derained = network(picture())
    parts = [result.image]
    for branch in (result.streaks, result.drops):
        assert branch is not None
        parts += [part for part in branch if part is not None]
    loss = torch.stack([(part - 0.4).square().mean() for part in parts]).sum()
    loss.backward()
    silent = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_stack_feeds_each_stage_with_the_last_one_s_picture() -> None:
    torch.manual_seed(0)
    stack = StackedDAiAM().eval()
    x = picture(8, 8)
    result = stack(x)
    assert len(result.stages) == 2
    assert result.image is result.stages[-1].image
    first = stack.stages[0](x).image
    assert torch.equal(result.stages[0].image, first)
    assert torch.equal(result.image, stack.stages[1](first).image)


def test_a_stack_needs_a_stage() -> None:
    with pytest.raises(ValueError, match="stages is 0"):
        StackedDAiAM(0)
