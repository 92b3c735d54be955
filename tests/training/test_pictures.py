import pytest
import torch
from torch import nn

from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.registry import NETWORKS
from rainclear.training.init import initialise
from rainclear.training.pictures import explain

PARTS = ("S⁺", "S⁻", "true mask", "heavy", "light")


def sample() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    clip = {k: torch.randint(256, (2, 3, 16, 24), dtype=torch.uint8) for k in ("rainy", "clean")}
    masks = {k: torch.randint(256, (2, 1, 16, 24), dtype=torch.uint8) for k in ("streaks", "drops")}
    return clip | masks


def test_every_part_of_the_network_is_shown() -> None:
    clip = sample()
    network = RealtimeDDAiAM(deep_channels=16, hidden=4).eval()
    views = explain(network, clip)
    rains = {f"{rain}: {part}" for rain in ("streaks", "drops") for part in PARTS}
    assert set(views) == {"input", "result", "truth"} | rains
    assert not any(module.training for module in network.modules())
    for view in views.values():
        assert view.shape == (16, 24, 3)
    assert (views["input"] == clip["rainy"][-1].permute(1, 2, 0).numpy()).all()
    assert (views["drops: true mask"][..., 0] == clip["drops"][-1, 0].numpy()).all()
    both = views["streaks: S⁺"].astype(int) + views["streaks: S⁻"]
    assert abs(both - 255).max() <= 1


def test_statistics_of_normalisations_are_left_alone() -> None:
    class Normalised(RealtimeDDAiAM):
        def __init__(self) -> None:
            super().__init__(deep_channels=16, hidden=4)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x, state=None):  # type: ignore[no-untyped-def]
            return super().forward(self.norm(x), state)

    network = Normalised().eval()
    explain(network, sample())
    assert network.norm.num_batches_tracked == 0


@pytest.mark.parametrize("kind", ["gaussian", "kaiming"])
def test_init(kind: str) -> None:
    torch.manual_seed(0)
    network = RealtimeDDAiAM()
    initialise(network, kind)  # type: ignore[arg-type]
    for conv in (network.deep[0].first, network.up):
        spread = 0.01 if kind == "gaussian" else (2 / 1.04 / conv.weight[0].numel()) ** 0.5
        assert float(conv.weight.detach().std()) == pytest.approx(spread, rel=0.05)
        assert not conv.bias.any()
    assert not network.deep[0].first.edge.any()


def test_the_paper_s_networks_take_either() -> None:
    network = NETWORKS["dam"].build()
    initialise(network, "gaussian")
    assert float(network.encoder.head.weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    initialise(network, "kaiming")
    assert float(network.encoder.head.weight.detach().std()) > 0.1
