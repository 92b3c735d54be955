"""Parts of the networks that look at a picture at several sizes."""

import pytest
import torch
from torch.nn import functional as F

from rainclear.nn.pyramid import Unveil
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.small import SmallDDAiAM


@torch.no_grad()
@pytest.mark.parametrize("block", [2, 4])
def test_a_veil_that_is_known_is_undone(block: int) -> None:
    scene = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    air, t = torch.tensor([0.8, 0.85, 0.9]), 0.6
    veiled = scene * t + air[:, None, None] * (1 - t)
    unveil = Unveil(5, block=block)
    unveil.expand.bias[:3] = 4 * torch.tensor((1 / t - 1) / 4).atanh()
    unveil.expand.bias[3:] = 4 * (-air * (1 / t - 1) / 4).atanh()
    blocks = F.pixel_unshuffle(veiled, block)
    features = torch.rand(2, 5, *blocks.shape[-2:])
    found = F.pixel_shuffle(blocks + unveil(blocks, features), block)
    torch.testing.assert_close(found, scene, atol=1e-5, rtol=0)


def test_gain_and_offset_are_bounded() -> None:
    unveil, blocks = Unveil(4, block=4), torch.ones(1, 48, 8, 8)
    with torch.no_grad():
        unveil.expand.bias.fill_(1e6)
        assert float(unveil(blocks, torch.zeros(1, 4, 8, 8)).max()) <= 8.0


@torch.no_grad()
def test_gain_and_offset_follow_the_features_slowly() -> None:
    torch.manual_seed(0)
    unveil, blocks = Unveil(4, block=4), torch.ones(1, 48, 23, 40)  # no whole number of cells
    features = torch.zeros(1, 4, 23, 40)
    features[..., 20:] = 3.0
    assert not unveil(blocks, features).any()  # untrained, it changes nothing
    unveil.expand.weight.normal_()
    added = unveil(blocks, features)
    assert added.shape == blocks.shape
    left, right = added[..., :8], added[..., -8:]
    assert (left.mean((2, 3)) - right.mean((2, 3))).abs().max() > 0.1
    steps = added.diff(dim=-1).abs().amax()
    assert steps < 0.3 * (left.mean((2, 3)) - right.mean((2, 3))).abs().max()


@pytest.mark.parametrize(
    ("build", "added"), [(RealtimeDDAiAM, 1_254), (SmallDDAiAM, 1_254)], ids=["rt", "s"]
)
def test_a_network_with_it_begins_as_one_without(
    build: type[RealtimeDDAiAM | SmallDDAiAM], added: int
) -> None:
    torch.manual_seed(0)
    network, plain = build(veil=True).eval(), build().eval()
    loaded = plain.load_state_dict(network.state_dict(), strict=False)
    assert not loaded.missing_keys
    assert sum(network.state_dict()[key].numel() for key in loaded.unexpected_keys) == added
    x = torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(network(x).image, plain(x).image, atol=1e-5, rtol=0)
        network.unveil.expand.bias[:3] = 0.5
        brighter = network(x).image
    torch.testing.assert_close(brighter.mean(), 1.5 * x.mean(), atol=0.1, rtol=0)
