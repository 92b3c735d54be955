"""d-daiam-s: views that are resized and mirrored, their mean, its work and its state."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from rainclear.nn.ensemble import Resize, SelfEnsemble, View
from rainclear.nn.output import Derained, show_details
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.reparam import fold_reparam
from rainclear.runtime.load import load_model


def stirred(**options: object) -> SelfEnsemble:
    """A tiny one whose network does something."""
    torch.manual_seed(0)
    tiny = {"channels": 16, "deep_channels": 16, "deep_blocks": 1, "hidden": 8, "veil": True}
    network = SelfEnsemble(network=tiny, **options)  # type: ignore[arg-type]
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def picture(height: int = 48, width: int = 64, seed: int = 1, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", ["3/2", "3/4", "2", "1/2", "2/3", "4/3"])
def test_resizing_is_bicubic_without_aliases(scale: str) -> None:
    factor = Fraction(scale)
    x = picture(48, 72)
    got = Resize(factor)(x)
    size = tuple(int(n * factor) for n in x.shape[2:])
    want = F.interpolate(x, size, mode="bicubic", antialias=True)
    assert got.shape == want.shape
    # At the edge PyTorch leaves out what is missing, and we repeat it.
    assert torch.allclose(got[..., 6:-6, 6:-6], want[..., 6:-6, 6:-6], atol=1e-5)
    assert torch.allclose(Resize(factor)(torch.full_like(x, 0.3)), torch.tensor(0.3), atol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1.5, 0.75])
def test_a_change_comes_back_from_a_view_to_where_it_was(scale: float, mirrored: bool) -> None:
    view = View(scale, mirrored=mirrored)
    x = F.avg_pool2d(picture(56, 80), 9, 1, 4)  # smooth, so that sizes do not matter
    seen = view.seen(x)
    assert not any(n % 8 for n in seen.shape[2:])
    back = view.change(seen * 0.5, seen, x.shape[2:])
    assert back.shape == x.shape
    assert (back + 0.5 * x)[..., 8:-8, 8:-8].abs().max() < 0.02


def test_one_view_is_the_network_itself() -> None:
    whole = stirred(views=[{}])
    x, y = picture(), picture(seed=2)
    one = whole(x)
    alone = whole.network(x)
    assert torch.allclose(one.image, alone.image, atol=1e-6)
    again = whole.network(y, (one.image.clamp(0, 1), alone.state[1]))
    assert torch.allclose(whole(y, one.state).image, again.image, atol=1e-6)


def test_it_is_the_mean_of_its_views() -> None:
    whole, x = stirred(views=[{"weight": 3.0}, {"mirrored": True}]), picture()
    plain, mirrored = whole.network(x).image, whole.network(x.flip(3)).image.flip(3)
    assert not torch.allclose(plain, mirrored, atol=1e-3)
    assert torch.allclose(whole(x).image, 0.75 * plain + 0.25 * mirrored, atol=1e-6)


def test_with_both_sides_a_mirrored_clip_gives_the_mirrored_pictures() -> None:
    whole = stirred(views=[{"scale": s, "mirrored": m} for s in (1, 1.5) for m in (False, True)])
    a = b = None
    for seed in range(3):
        x = picture(seed=seed)
        plain: Derained = whole(x, a)
        mirrored: Derained = whole(x.flip(3), b)
        a, b = plain.state, mirrored.state
        assert torch.allclose(plain.image, mirrored.image.flip(3), atol=1e-5)


def test_the_state_decides_the_next_frame() -> None:
    whole = stirred()
    first = whole(picture())
    assert len(first.state) == 1 + len(whole.views)
    fresh, carried = whole(picture(seed=2)), whole(picture(seed=2), first.state)
    assert not torch.allclose(fresh.image, carried.image, atol=1e-3)


def test_pictures_of_a_batch_do_not_mix() -> None:
    whole = stirred()
    x, y = picture(count=2), picture(seed=5, count=2)
    together = whole(y, whole(x).state)
    for i in range(2):
        alone = whole(y[i : i + 1], whole(x[i : i + 1]).state)
        assert torch.allclose(together.image[i : i + 1], alone.image, atol=1e-5)
        got, want = together.streaks.attention, alone.streaks.attention
        assert torch.allclose(got[i : i + 1], want, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (40, 56), (96, 72)])
def test_shapes(size: tuple[int, int]) -> None:
    out = stirred()(picture(*size))
    assert out.image.shape == (1, 3, *size)
    assert out.drops.attention.shape == (1, 1, *size)


def test_details_show_more_and_change_nothing() -> None:
    whole = stirred()
    plain = whole(picture())
    shown = show_details(whole)(picture())
    assert torch.equal(plain.image, shown.image)
    assert len(shown.stages) == 2 and shown.streaks.heavy.shape == (1, 3, 48, 64)


def test_gradient_reaches_the_network_through_every_view() -> None:
    whole = stirred().train()
    out = whole(picture())
    (whole(picture(seed=2), out.state).image.sum() + out.image.sum()).backward()
    lost = [n for n, p in whole.named_parameters() if p.grad is None and "branch_image" not in n]
    assert not lost


@pytest.mark.parametrize(
    "views",
    [
        [],
        [{"scale": 1.5}, {}],
        [{"mirrored": True}],
        [{}, {"scale": -1.0}],
        [{}, {"scale": 0.8}],
        [{"weight": 0.0}],
    ],
)
def test_unfit_views_are_refused(views: list[dict[str, float]]) -> None:
    with pytest.raises(ValueError, match="view"):
        SelfEnsemble(views=views)


def test_weights_of_the_network_alone_are_weights_of_it() -> None:
    whole = stirred()
    network = RealtimeDDAiAM(channels=16, deep_channels=16, deep_blocks=1, hidden=8, veil=True)
    network.load_state_dict(whole.network.state_dict())
    other = stirred()
    nn.init.zeros_(other.network.coarse_image.weight)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.network.coarse_image.weight, whole.network.coarse_image.weight)
    other.load_state_dict(whole.state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({})


def test_multiply_adds_of_a_720p_frame() -> None:
    with torch.device("meta"):
        whole = fold_reparam(SelfEnsemble(network={"veil": True})).eval()
        with FlopCounterMode(display=False) as counter:
            whole(torch.empty(1, 3, 720, 1280))
    multiply_adds = counter.get_total_flops() / 2
    assert 30e9 < multiply_adds < 36e9  # what the budget of a large model allows is 100 G


def test_what_ships_is_d_daiam_rt_seen_several_times() -> None:
    whole, network = load_model("d-daiam-s"), load_model("d-daiam-rt")
    assert isinstance(whole, SelfEnsemble)
    for name, value in network.state_dict().items():
        assert torch.equal(whole.network.state_dict()[name], value), name
