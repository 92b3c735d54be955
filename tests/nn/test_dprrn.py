"""DPRRN: the published sizes, and that each half goes where the paper says."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rainclear.nn.dprrn import DPRRN, UNet


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def network() -> DPRRN:
    torch.manual_seed(0)
    return DPRRN(width=4).eval()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    left, right = torch.rand(2, 1, 3, 16, 24, generator=generator)
    return left, right


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        network = DPRRN()
    masks = [count(network.mask_left), count(network.mask_right)]
    derain = [count(network.derain_left), count(network.derain_right)]
    assert masks == [2_437_601] * 2
    assert derain == [2_437_091] * 2
    assert count(network.fuse) == 9_731_395
    assert [round(n / 1e6, 2) for n in masks + derain] == [2.44] * 4
    assert round(count(network.fuse) / 1e6, 2) == 9.73
    assert round(count(network) / 1e6, 2) == 19.48


def test_the_published_multiply_adds() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        DPRRN().eval()(torch.empty(1, 6, 16, 16))
    assert counter.get_total_flops() / 2 / 16**2 == 1_879_744  # 1.88 M a pixel


def test_the_shapes_of_all_parts(network: DPRRN, pair: tuple[Tensor, Tensor]) -> None:
    out = network.halves(*pair)
    for picture in (out.image, out.combined, out.left, out.right):
        assert picture.shape == (1, 3, 16, 24)
    for mask in (out.left_logits, out.right_logits, out.mask):
        assert mask.shape == (1, 1, 16, 24)
    assert 0 <= out.mask.min() <= out.mask.max() <= 1


@torch.no_grad()
def test_the_equations_of_the_parts(network: DPRRN, pair: tuple[Tensor, Tensor]) -> None:
    left, right = pair
    out = network.halves(left, right)
    l, r = 2 * left - 1, 2 * right - 1  # noqa: E741
    m_l, m_r = network.mask_left(torch.cat((l, r), 1)), network.mask_right(torch.cat((r, l), 1))
    torch.testing.assert_close((out.left_logits, out.right_logits), (m_l, m_r))
    torch.testing.assert_close(network.mask_logits(left, right), (m_l, m_r))
    m_c = torch.maximum(m_l.sigmoid(), m_r.sigmoid())
    torch.testing.assert_close(out.mask, m_c)
    b_l = l - network.derain_left(torch.cat((l, m_l.sigmoid()), 1))
    b_r = r - network.derain_right(torch.cat((r, m_r.sigmoid()), 1))
    b_c = (b_l + b_r) / 2
    b = b_c - network.fuse(torch.cat((b_c, b_l, b_r, m_c), 1))
    for picture, expected in ((out.left, b_l), (out.right, b_r), (out.combined, b_c)):
        torch.testing.assert_close(picture, (expected + 1) / 2)
    torch.testing.assert_close(out.image, (b + 1) / 2)


@torch.no_grad()
def test_a_network_takes_halves_or_one_picture(network: DPRRN, pair: tuple[Tensor, Tensor]) -> None:
    left, right = pair
    out = network(torch.cat(pair, 1))
    expected = network.halves(left, right)
    assert torch.equal(out.image, expected.image)
    assert torch.equal(out.stages[0].image, expected.combined)
    assert torch.equal(out.drops.attention, expected.mask)
    assert out.streaks is None and out.state is None
    assert torch.equal(network(left).image, network.halves(left, left).image)


@torch.no_grad()
def test_the_single_network_sees_the_mean_alone(pair: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    single, both = DPRRN(width=4, single=True).eval(), DPRRN(width=4).eval()
    assert count(single) == count(both)
    left, right = pair
    out = single.halves(left, right)
    assert torch.equal(out.image, single.halves(right, left).image)
    mean = (left + right) / 2
    torch.testing.assert_close(out.image, single.halves(mean, mean).image)
    both.load_state_dict(single.state_dict())
    assert not torch.allclose(both.halves(left, right).image, out.image, atol=1e-3)


def test_all_weights_learn(pair: tuple[Tensor, Tensor]) -> None:
    network = DPRRN(width=4)
    out = network.halves(*pair)
    (out.image.square().mean() + out.mask.mean()).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_warmup_reaches_the_masks_alone(pair: tuple[Tensor, Tensor]) -> None:
    network = DPRRN(width=4)
    left, right = network.mask_logits(*pair)
    (left.mean() + right.mean()).backward()
    touched = {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None}
    assert touched == {"mask_left", "mask_right"}


@torch.no_grad()
def test_a_unet_sees_far() -> None:
    """Through three poolings, a pixel depends on others more than thirty pixels away."""
    torch.manual_seed(0)
    unet = UNet(3, 1, 4).eval()
    unet.norm = nn.Identity()  # it would make every pixel depend on every other
    x = torch.rand(1, 3, 64, 64)
    changed = x.clone()
    changed[..., 32, 0] += 1.0
    difference = (unet(changed) - unet(x)).abs()[0, 0].amax(0)
    assert difference[32] > 0
    assert difference[63] == 0


def test_unusable_options() -> None:
    with pytest.raises(ValueError, match="width"):
        DPRRN(width=0)
