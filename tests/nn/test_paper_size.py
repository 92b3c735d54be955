"""The paper's networks as their recipes build them, and what they show on request."""

import pytest
import torch
from torch import nn

from rainclear.config import ArchitectureSpec
from rainclear.nn.daiam import DAiAM
from rainclear.nn.dam import DAM
from rainclear.nn.output import show_details
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.runtime.load import build_network
from rainclear.training.run import read_recipe

PARAMETERS = {
    "dam-zero": 1_691_145,
    "dam-odd": 1_691_434,
    "dam": 1_691_434,
    "d-dam": 3_385_494,
    "daiam": 3_607_831,
    "daiam-daiam": 7_215_662,
    "d-daiam": 7_218_288,
    "d-daiam-3": 10_828_745,
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_recipes_build_the_papers_sizes_and_schedule(name: str) -> None:
    spec = read_recipe(name, [])
    assert spec.weights is None
    with torch.device("meta"):
        assert count(build_network(spec.architecture)) == PARAMETERS[name]
    training = spec.training
    assert training is not None
    assert (training.data.crop, training.data.batch, training.data.frames) == (112, 4, 1)
    assert (training.optim.lr, training.optim.final_lr) == (1e-4, 1e-6)
    losses = training.losses
    assert (losses.image, losses.attention, losses.heavy, losses.light) == ("mse", 0.8, 1.0, 0.3)
    assert training.init == "gaussian"


def test_width_scales_every_part() -> None:
    for name in PARAMETERS:
        options = read_recipe(name, ["architecture.options.width=4"]).architecture
        assert count(build_network(options)) < 200_000
    with pytest.raises(ValueError, match="width is 0"):
        DAM(width=0)
    assert count(DAM(width=32)) == PARAMETERS["dam"]


@torch.no_grad()
@pytest.mark.parametrize("network", [DAiAM(width=4), RealtimeDDAiAM()], ids=["daiam", "d-daiam-rt"])
def test_details_show_more_and_change_nothing(network: nn.Module) -> None:
    network.eval()
    x = torch.rand(1, 3, 16, 24)
    plain = network(x)
    assert show_details(network) is network
    full = network(x)
    assert torch.equal(full.image, plain.image)
    assert full.streaks.heavy.shape == full.drops.light.shape == x.shape
    if isinstance(network, RealtimeDDAiAM):
        assert plain.streaks.heavy is None
        assert len(plain.stages) == 1
        assert len(full.stages) == 2
        a, b = full.stages[1].differentials
        assert a.shape == b.shape == x.shape
        assert a.min() >= 0 and b.max() <= 1
    else:
        assert plain.streaks.image is None
        assert full.streaks.image.shape == x.shape


def test_three_stages_have_two_pairs_of_maps() -> None:
    spec = ArchitectureSpec(network="d-daiam", options={"stages": 3, "width": 4})
    with torch.no_grad():
        stages = build_network(spec)(torch.rand(1, 3, 8, 8)).stages
    assert [stage.differentials is None for stage in stages] == [True, False, False]
    assert stages[1].differentials.to_input.shape == (1, 1, 8, 8)
