"""The paper's losses, worked out by hand."""

import pytest
import torch
from torch import Tensor

from rainclear.config import LossRecipe
from rainclear.nn.dam import DAM
from rainclear.nn.differential import DDAM, DDAiAM
from rainclear.nn.output import Branch, Derained, Stage
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.training.losses import (
    attention_loss,
    derained_losses,
    image_loss,
    temporal_loss,
    total,
)

PAPER = LossRecipe()


def flat(level: float, channels: int = 3) -> Tensor:
    return torch.full((1, channels, 2, 2), level)


def values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term) for name, term in terms.items()}


def branch(attention: float, heavy: float, light: float, image: float | None = None) -> Branch:
    own = None if image is None else flat(image)
    return Branch(flat(attention, 1), flat(heavy), flat(light), own)


def losses(*stages: Stage, recipe: LossRecipe = PAPER, streaks: float = 0.25, drops: float = 0.5):
    """Terms against a truth of 0.5 everywhere."""
    out = Derained(stages[-1].image, None, stages)
    masks = flat(streaks, 1), flat(drops, 1)
    return derained_losses(out, flat(0.5), *masks, recipe)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mse", (0.04 + 0.16) / 4),
        ("l1", (0.2 + 0.4) / 4),
        ("charbonnier", ((0.04 + 1e-4) ** 0.5 + (0.16 + 1e-4) ** 0.5 + 2 * 0.01) / 4 - 0.01),
    ],
)
def test_image_loss(kind: str, expected: float) -> None:
    truth = torch.full((1, 1, 2, 2), 0.5)
    output = truth + torch.tensor([[0.2, -0.4], [0.0, 0.0]])
    assert float(image_loss(kind, output, truth)) == pytest.approx(expected, rel=1e-5)


def test_temporal_loss_is_the_flicker() -> None:
    scene = torch.tensor([0.2, 0.4, 0.9]).reshape(1, 1, 1, 3)
    moved = scene.flip(3)
    veiled = (scene + 0.1, moved + 0.1)  # wrong, but steady
    assert float(temporal_loss(veiled, (scene, moved))) == pytest.approx(0, abs=1e-6)
    assert float(temporal_loss((scene, moved), (scene, scene))) == pytest.approx(1.4 / 3)
    flickering = (scene, moved + torch.tensor([0.3, 0.0, -0.3]))
    assert float(temporal_loss(flickering, (scene, moved))) == pytest.approx(0.2)


def test_attention_loss_is_equation_5() -> None:
    attention = torch.tensor([[[[0.1, 0.9], [0.5, 0.0]]]])
    mask = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    one = Branch(attention, None, None, None)
    assert float(attention_loss(one, mask)) == pytest.approx((0.1 + 0.1 + 0.5 + 0.0) / 4)
    # With a balance of 10, a pixel of full rain counts eleven times.
    balanced = (0.1 + 11 * 0.1 + 11 * 0.5 + 0.0) / 4
    assert float(attention_loss(one, mask, balance=10)) == pytest.approx(balanced)


def test_one_stage_of_two_types() -> None:
    stage = Stage(flat(0.7), branch(0.75, 0.6, 0.8, 0.9), branch(0.1, 0.5, 0.4, 0.3))
    assert values(losses(stage)) == pytest.approx(
        {
            "final": 0.04,
            "streak_att": 0.8 * 0.5,
            "streak_heavy": 0.01,
            "streak_light": 0.3 * 0.09,
            "streak_global": 0.16,
            "drop_att": 0.8 * 0.4,
            "drop_heavy": 0.0,
            "drop_light": 0.3 * 0.01,
            "drop_global": 0.04,
        },
        abs=1e-6,
    )


def test_every_weight_weighs_its_own_term() -> None:
    stages = (
        Stage(flat(0.6), branch(1.0, 0.7, 0.7, 0.7), None),
        Stage(flat(0.7), branch(1.0, 0.7, 0.7, 0.7), None),
    )
    owners = {
        "final": {"final"},
        "stages": {"stage0", "streak_global", "streak_global1"},
        "attention": {"streak_att", "streak_att1"},
        "heavy": {"streak_heavy", "streak_heavy1"},
        "light": {"streak_light", "streak_light1"},
    }
    plain = values(losses(*stages))
    assert set(plain) == set().union(*owners.values())
    for setting, names in owners.items():
        recipe = PAPER.model_copy(update={setting: 2 * getattr(PAPER, setting)})
        for name, value in values(losses(*stages, recipe=recipe)).items():
            assert value == pytest.approx((2 if name in names else 1) * plain[name]), name


def test_a_shared_branch_counts_once() -> None:
    shared = branch(0.75, 0.6, 0.8)
    terms = values(losses(Stage(flat(0.6), shared, None), Stage(flat(0.7), shared, None)))
    assert terms == pytest.approx(
        {
            "final": 0.04,
            "stage0": 0.01,
            "streak_att": 0.4,
            "streak_heavy": 0.01,
            "streak_light": 0.027,
        },
        abs=1e-6,
    )
    # Branches that are merely equal are not shared.
    equal = [Stage(flat(0.6), branch(0.75, 0.6, 0.8), None) for _ in range(2)]
    assert {"streak_att", "streak_att1"} <= losses(*equal).keys()


def test_dry_pixels_are_to_be_kept() -> None:
    truth, rainy, output = flat(0.5), flat(0.5), flat(0.5)
    rainy[..., 0] += 0.3  # half the picture is wet
    output += 0.1
    out = Derained(output, None, (Stage(output, None, None),))
    masks = flat(0, 1), flat(0, 1)
    recipe = PAPER.model_copy(update={"keep": 2.0})
    terms = derained_losses(out, truth, *masks, recipe, rainy=rainy)
    assert values(terms) == pytest.approx({"final": 0.01, "keep": 2.0 * 0.1 / 2}, abs=1e-6)
    assert "keep" not in derained_losses(out, truth, *masks, PAPER, rainy=rainy)


def picture() -> Tensor:
    return torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network_terms(network: torch.nn.Module) -> tuple[Derained, dict[str, Tensor]]:
    out = network.train()(picture())
    return out, derained_losses(out, flat8(0.4), flat8(0.2, 1), flat8(0.7, 1), PAPER)


def flat8(level: float, channels: int = 3) -> Tensor:
    return torch.full((1, channels, 8, 8), level)


@pytest.mark.parametrize(("rain", "mask"), [("streaks", 0.2), ("drops", 0.7)])
def test_the_total_of_a_dam_is_equation_10(rain: str, mask: float) -> None:
    torch.manual_seed(0)
    out, terms = network_terms(DAM(rain))
    own = out.streaks if rain == "streaks" else out.drops
    attention = (own.attention - mask).abs().mean()
    heavy, light, image = (
        (part - 0.4).square().mean() for part in (own.heavy, own.light, out.image)
    )
    expected = 0.8 * attention + 1.0 * heavy + 0.3 * light + image
    torch.testing.assert_close(total(terms), expected)
    prefix = "streak" if rain == "streaks" else "drop"
    assert set(terms) == {"final", f"{prefix}_att", f"{prefix}_heavy", f"{prefix}_light"}


def test_stages_add_up_as_in_equation_15() -> None:
    torch.manual_seed(0)
    out, terms = network_terms(DDAM("streaks"))
    assert len(out.stages) == 2
    expected = sum(
        0.8 * (s.streaks.attention - 0.2).abs().mean()
        + (s.streaks.heavy - 0.4).square().mean()
        + 0.3 * (s.streaks.light - 0.4).square().mean()
        + (s.image - 0.4).square().mean()
        for s in out.stages
    )
    torch.testing.assert_close(total(terms), expected)


def test_a_d_daiam_trains_the_d_global_of_every_dam() -> None:
    _, terms = network_terms(DDAiAM())
    parts = ("att", "heavy", "light", "global")
    branches = {f"{t}_{p}{s}" for t in ("streak", "drop") for p in parts for s in ("", "1")}
    assert set(terms) == {"final", "stage0"} | branches


def test_terms_of_the_real_time_network() -> None:
    _, terms = network_terms(RealtimeDDAiAM())
    parts = {f"{t}_{p}" for t in ("streak", "drop") for p in ("att", "heavy", "light")}
    assert set(terms) == {"final", "stage0"} | parts
    total(terms).backward()


def test_the_total_is_the_sum() -> None:
    assert float(total({"a": torch.tensor(1.5), "b": torch.tensor(2.0)})) == 3.5
