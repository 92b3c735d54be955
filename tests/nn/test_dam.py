import pytest
import torch
from torch import nn

from rainclear.nn.blocks import ConvLSTM, ResBlock, init_gaussian, init_kaiming
from rainclear.nn.dam import DAM, Attention, AttentionMode, Decoder, Encoder, GlobalDecoder
from rainclear.nn.output import Branch


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def picture(height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def dam() -> DAM:
    torch.manual_seed(0)
    return DAM()


def test_parameter_counts(dam: DAM) -> None:
    assert dam.attention is not None
    assert count(dam.encoder) + count(dam.attention) == 130_529
    assert count(dam.heavy) == count(dam.light) == 686_403
    assert count(dam.fuse) == 188_099
    assert count(dam) == 1_691_434
    assert count(DAM(attention="odd")) == 1_691_434
    assert count(DAM(attention="zero")) == 1_691_434 - 289


@pytest.mark.parametrize("size", [(16, 16), (13, 17), (1, 3)])
def test_shapes(dam: DAM, size: tuple[int, int]) -> None:
    x = picture(*size)
    result = dam(x)
    branch = result.streaks
    assert result.state is None
    assert len(result.stages) == 1
    assert result.drops is None
    assert isinstance(branch, Branch)
    assert branch.attention.shape == (1, 1, *size)
    for image in (result.image, result.stages[0].image, branch.heavy, branch.light, branch.image):
        assert image is not None
        assert image.shape == x.shape


def test_parts_have_the_paper_s_widths() -> None:
    x = picture(8, 8)
    features = Encoder()(x)
    assert features.shape == (1, 32, 8, 8)
    image, decoded = Decoder()(features, x)
    assert image.shape == x.shape
    assert decoded.shape == (1, 64, 8, 8)
    assert GlobalDecoder(64)(decoded, x).shape == x.shape


def test_a_state_is_ignored(dam: DAM) -> None:
    x = picture()
    assert torch.equal(dam(x, (x,)).image, dam(x).image)


def test_rain_names_the_branch() -> None:
    result = DAM("drops")(picture(4, 4))
    assert result.streaks is None
    assert result.drops is not None
    assert result.drops.image is result.image


def test_the_two_maps_sum_to_one() -> None:
    attention = Attention()
    heavy, light = attention(torch.randn(2, 32, 5, 7) * 3)
    assert torch.allclose(heavy + light, torch.ones(2, 1, 5, 7))
    assert heavy.min() >= 0
    assert heavy.max() <= 1
    assert heavy.std() > 0


def test_gradient_reaches_every_parameter(dam: DAM) -> None:
    dam.zero_grad()
    branch = dam(picture()).streaks
    loss = sum(
        (part - 0.5).square().mean()
        for part in (branch.heavy, branch.light, branch.image, branch.attention * 0.9)
    )
    loss.backward()
    silent = [
        name for name, p in dam.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_modes_differ_in_what_the_decoders_see(dam: DAM) -> None:
    init = {name: value * 5 for name, value in dam.state_dict().items()}
    modes: tuple[AttentionMode, ...] = ("zero", "odd", "dual")
    results = {}
    for mode in modes:
        model = DAM(attention=mode)
        model.load_state_dict(init, strict=mode != "zero")
        results[mode] = model(picture()).streaks
    zero, odd, dual = (results[mode] for mode in modes)
    assert torch.equal(zero.attention, torch.ones(1, 1, 16, 16))
    assert torch.equal(odd.attention, dual.attention)
    assert torch.equal(odd.heavy, dual.heavy)
    assert torch.equal(zero.light, odd.light)
    assert not torch.equal(zero.heavy, odd.heavy)
    assert not torch.equal(odd.light, dual.light)
    assert not torch.equal(odd.image, dual.image)


@pytest.mark.parametrize("options", [{"rain": "snow"}, {"attention": "triple"}])
def test_unknown_choices_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(options.values()))):
        DAM(**options)  # type: ignore[arg-type]


def test_same_seed_same_network() -> None:
    images = []
    for _ in range(2):
        torch.manual_seed(7)
        images.append(DAM()(picture()).image)
    assert torch.equal(*images)


def test_initial_weights_are_the_paper_s(dam: DAM) -> None:
    weights = torch.cat([p.detach().flatten() for p in dam.parameters() if p.ndim == 4])
    assert weights.std().item() == pytest.approx(0.01, rel=0.02)
    assert weights.mean().item() == pytest.approx(0, abs=1e-4)
    assert all(not p.any() for p in dam.parameters() if p.ndim == 1)


def test_init_gaussian_takes_another_deviation() -> None:
    block = ResBlock(32)
    init_gaussian(block, std=0.1)
    assert block.first.weight.std().item() == pytest.approx(0.1, rel=0.05)


def test_init_kaiming_keeps_the_signal_alive() -> None:
    torch.manual_seed(0)
    model = DAM()
    init_kaiming(model)
    assert 0.05 < model(picture()).image.std().item() < 5
    block = model.heavy.blocks[0]
    assert isinstance(block, ResBlock)
    ratio = block.second.weight.std() / block.first.weight.std()
    assert ratio.item() == pytest.approx(0.1, rel=0.1)


def test_lstm_without_a_state_starts_from_zeros() -> None:
    torch.manual_seed(3)
    cell = ConvLSTM(4, 6).double()
    x, zeros = torch.randn(2, 4, 5, 7).double(), torch.zeros(2, 6, 5, 7).double()
    for short, full in zip(cell(x), cell(x, (zeros, zeros)), strict=True):
        assert torch.allclose(short, full, atol=1e-12)


def test_lstm_remembers() -> None:
    torch.manual_seed(3)
    cell = ConvLSTM(4, 6)
    x = torch.randn(1, 4, 5, 5)
    first = cell(x)
    assert not torch.allclose(cell(x, first)[0], first[0])
