"""The veil: undone exactly where it is known, found over the whole frame."""

import pytest
import torch
from torch.nn import functional as F

from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.unveil import Unveil
from rainclear.nn.ushaped import UDDAiAM


def stirred(channels: int = 4, *, block: int = 4) -> Unveil:
    """One that does something; an untrained one changes nothing."""
    torch.manual_seed(0)
    unveil = Unveil(channels, block=block)
    torch.nn.init.normal_(unveil.expand.weight)
    return unveil.requires_grad_(False)


def seen(height: int, width: int, *, channels: int = 4) -> tuple[torch.Tensor, ...]:
    """Blocks, features and attentions of 4x4 pixels a block."""
    generator = torch.Generator().manual_seed(1)
    shapes = (48, channels, 32)
    blocks, features, attentions = (
        torch.rand(1, n, height, width, generator=generator) for n in shapes
    )
    return blocks, features, attentions


def alone(unveil: Unveil, blocks: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
    """What is added to the first frame."""
    height, width = (max(1, n // 2) for n in blocks.shape[-2:])
    return unveil(blocks, *others, torch.zeros(len(blocks), unveil.kept, height, width))[0]


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
    attentions = torch.rand(2, 2 * block**2, *blocks.shape[-2:])
    found = F.pixel_shuffle(blocks + alone(unveil, blocks, features, attentions), block)
    torch.testing.assert_close(found, scene, atol=1e-5, rtol=0)


def test_gain_and_offset_are_bounded() -> None:
    unveil, (_, features, attentions) = stirred(), seen(8, 8)
    unveil.expand.bias.fill_(1e6)
    assert float(alone(unveil, torch.ones(1, 48, 8, 8), features, attentions).max()) <= 8.0


def test_untrained_it_changes_nothing() -> None:
    assert not alone(Unveil(4, block=4), *seen(8, 8)).any()


def test_gain_and_offset_vary_slowly() -> None:
    unveil, (_, features, attentions) = stirred(), seen(23, 40)  # no whole number of cells
    features[..., 20:] += 3.0
    added = alone(unveil, torch.ones(1, 48, 23, 40), features, attentions)
    assert added.shape == (1, 48, 23, 40)
    left, right = added[..., :8], added[..., -8:]
    change = (left.mean((2, 3)) - right.mean((2, 3))).abs().max()
    assert change > 0.1
    assert added.diff(dim=-1).abs().amax() < 0.3 * change


def test_one_end_of_the_frame_is_heard_at_the_other() -> None:
    unveil, (blocks, features, attentions) = stirred(), seen(16, 400)
    before = alone(unveil, blocks, features, attentions)
    features[..., :16] += 3.0
    after = alone(unveil, blocks, features, attentions)
    far = (after - before)[..., -16:].abs().mean()  # 46 cells away: around sees four
    assert 1e-4 < far < (after - before)[..., :16].abs().mean()


@pytest.mark.parametrize("what", ["features", "attentions", "colours"])
def test_all_of_what_it_reads_matters(what: str) -> None:
    unveil = stirred()
    _, features, attentions = seen(16, 24)
    read = {"features": features, "attentions": attentions, "colours": torch.rand(1, 3, 2, 3)}
    before = unveil.maps(**read)[0]
    read[what] = read[what] + 0.5
    assert (unveil.maps(**read)[0] - before).abs().max() > 1e-3


def test_a_wider_frame_of_the_same_is_treated_the_same() -> None:
    unveil, (blocks, features, attentions) = stirred(), seen(8, 8)
    tiled = [x.repeat(1, 1, 10, 12) for x in (blocks, features, attentions)]
    twice = [x.repeat(1, 1, 10, 24) for x in (blocks, features, attentions)]
    middle = alone(unveil, *tiled)[..., 40:48, 48:56]
    torch.testing.assert_close(alone(unveil, *twice)[..., 40:48, 96:104], middle, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("rows", "side"), [(1, 8), (32, 8), (84, 8), (90, 9), (180, 18), (540, 54)]
)
def test_cells_grow_with_the_frame(rows: int, side: int) -> None:
    assert Unveil(4, block=4).side(rows) == side
    assert Unveil(4, block=2).side(2 * rows) == pytest.approx(2 * side, abs=1)


def test_a_scene_in_larger_pixels_is_treated_the_same() -> None:
    unveil, seen_small = stirred(), seen(160, 240)
    seen_large = [x.repeat_interleave(2, -2).repeat_interleave(2, -1) for x in seen_small]
    small, large = alone(unveil, *seen_small), alone(unveil, *seen_large)
    torch.testing.assert_close(F.avg_pool2d(large, 2), small, atol=5e-3, rtol=0)
    assert small.std() > 0.1


def test_what_is_seen_in_one_frame_alone_counts_little() -> None:
    unveil, (blocks, features, attentions) = stirred(), seen(16, 24)
    odd = features + 3.0
    kept, added = torch.zeros(1, unveil.kept, 8, 12), []
    for shown in (features, features, odd, *[features] * 30):
        more, kept = unveil(blocks, shown, attentions, kept)
        added.append(more)
    torch.testing.assert_close(added[1], added[0], atol=1e-5, rtol=0)  # the same twice: no change
    moved = (added[2] - added[1]).abs().mean()
    assert moved < 0.5 * (alone(unveil, blocks, odd, attentions) - added[0]).abs().mean()
    assert (added[-1] - added[0]).abs().mean() < 0.1 * moved
    torch.testing.assert_close(kept[:, 6:], torch.ones(1, 1, 8, 12), atol=0.05, rtol=0)


@pytest.mark.parametrize("build", [RealtimeDDAiAM, UDDAiAM], ids=["rt", "u"])
def test_a_network_with_it_begins_as_one_without(
    build: type[RealtimeDDAiAM | UDDAiAM],
) -> None:
    torch.manual_seed(0)
    network, plain = build(veil=True).eval(), build().eval()
    loaded = plain.load_state_dict(network.state_dict(), strict=False)
    assert not loaded.missing_keys
    assert sum(network.state_dict()[key].numel() for key in loaded.unexpected_keys) == 5_914
    x = torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(network(x).image, plain(x).image, atol=1e-5, rtol=0)
        network.unveil.expand.bias[:3] = 0.5
        brighter = network(x).image
    torch.testing.assert_close(brighter.mean(), 1.5 * x.mean(), atol=0.1, rtol=0)
