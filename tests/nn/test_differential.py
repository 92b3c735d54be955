import pytest
import torch
from torch import nn

from rainclear.nn.blocks import init_gaussian
from rainclear.nn.dam import DAM
from rainclear.nn.differential import DDAM, DDAiAM, DifferentialModule, FilterNet, HeavyToLight
from rainclear.nn.output import Derained, Stage


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def picture(height: int = 8, width: int = 8, seed: int = 1) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


class Halve(nn.Module):
    def forward(self, x: torch.Tensor) -> Derained:
        half = x / 2
        return Derained(half, None, (Stage(half, None, None),))


def test_parameter_counts() -> None:
    assert count(FilterNet()) == 1_313
    assert count(DifferentialModule()) == 2_626
    assert count(DDAiAM()) == 2 * 3_607_831 + 2_626 == 7_218_288  # Table 6: 7.20 M
    assert count(DDAiAM(3)) == 3 * 3_607_831 + 2 * 2_626
    assert count(DDAM()) == 2 * 1_691_434 + 2_626


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 1)])
def test_filter_net_keeps_the_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    soft = FilterNet()(torch.randn(2, 3, *size))
    assert soft.shape == (2, 1, *size)
    assert soft.min() >= 0
    assert soft.max() <= 1


def test_filter_net_sees_four_by_four_pixels_around_its_own() -> None:
    torch.manual_seed(0)
    difference = torch.zeros(1, 3, 11, 11, requires_grad=True)
    FilterNet()(difference)[0, 0, 5, 5].backward()
    assert difference.grad is not None
    rows, columns = difference.grad.abs().sum(dim=(0, 1)).nonzero(as_tuple=True)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (3, 6)


def test_module_is_equation_14() -> None:
    torch.manual_seed(0)
    module = DifferentialModule()
    init_gaussian(module, std=1.0)
    output, source, previous = (picture(4, 4, seed) for seed in (1, 2, 3))
    a = module.to_input(output - source)
    b = module.to_previous(output - previous)
    assert not torch.allclose(a, b)
    result, maps = module(output, source, previous)
    assert torch.equal(maps.to_input, a)
    assert torch.equal(maps.to_previous, b)
    for channel in range(3):
        for row in range(4):
            for column in range(4):
                at = (0, channel, row, column)
                soft = (0, 0, row, column)
                expected = output[at] * a[soft] + 0.5 * source[at] * b[soft]
                assert result[at].item() == pytest.approx(expected.item(), abs=1e-6)


def test_module_on_numbers_worked_out_by_hand() -> None:
    module = DifferentialModule()
    for parameter in module.parameters():
        nn.init.zeros_(parameter)  # A = B = sigmoid(0) = 1/2
    value, _ = module(
        torch.full((1, 3, 2, 2), 0.8), torch.full((1, 3, 2, 2), 0.4), torch.zeros(1, 3, 2, 2)
    )
    assert torch.allclose(value, torch.full((1, 3, 2, 2), 0.8 * 0.5 + 0.5 * 0.4 * 0.5))


def test_the_scheme_hands_on_input_and_previous_output() -> None:
    seen: list[tuple[torch.Tensor, ...]] = []
    network = HeavyToLight([Halve(), Halve(), Halve()])
    for module in network.differentials:
        module.register_forward_hook(lambda _, args, result: seen.append((*args, result[0])))
    x = picture()
    result = network(x)
    images = [stage.image for stage in result.stages]
    (output1, source1, previous1, fused1), (output2, source2, previous2, fused2) = seen
    assert torch.equal(output1, x / 2)
    assert source1 is x
    assert previous1 is x
    assert torch.equal(images[1], fused1 / 2)
    assert output2 is images[1]
    assert source2 is x
    assert previous2 is images[0]
    assert torch.equal(result.image, fused2 / 2)
    assert result.stages[0].differentials is None
    assert all(stage.differentials is not None for stage in result.stages[1:])


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_stage_counts(stages: int) -> None:
    x = picture(5, 7)
    network = DDAiAM(stages).eval()
    result = network(x)
    assert len(result.stages) == stages
    assert len(network.differentials) == stages - 1
    assert result.state is None
    assert result.image is result.stages[-1].image
    assert all(stage.image.shape == x.shape for stage in result.stages)
    assert all(stage.streaks and stage.drops for stage in result.stages)


def test_ddam_has_one_branch_a_stage() -> None:
    result = DDAM("drops", stages=3)(picture(5, 5))
    assert len(result.stages) == 3
    assert all(stage.drops and stage.streaks is None for stage in result.stages)


def test_ddam_passes_the_attention_mode_on() -> None:
    network = DDAM(attention="zero")
    assert all(isinstance(stage, DAM) and stage.mode == "zero" for stage in network.stages)


def test_gradient_of_the_last_picture_reaches_the_first_stage() -> None:
    torch.manual_seed(0)
    network = DDAM()
    (network(picture()).image - 0.5).square().mean().backward()
    first = network.stages[0]
    assert isinstance(first, DAM)
    for part in (first.encoder, first.fuse, network.differentials[0]):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_no_stages_are_refused() -> None:
    with pytest.raises(ValueError, match="no stages"):
        DDAiAM(0)
