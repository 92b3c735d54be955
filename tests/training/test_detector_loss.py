"""The distance of a detector's features, with a stand-in for the detector."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rainclear.config import ModelSpec
from rainclear.errors import ConfigError, ModelError
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.training.chunk import Chunk
from rainclear.training.detector_loss import DetectorLoss

MakeSpec = Callable[..., ModelSpec]
WITH_DETECTOR = ("training.losses.detector=2.0", "training.detector.weights=none.pt")


class Backbone(nn.Module):
    """Two layers of features, with statistics that training would change."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.SiLU())
        self.second = nn.Conv2d(4, 8, 3, stride=2)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        first = self.first(pictures)
        return [first, self.second(first)]


def pictures(seed: int = 0) -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_mean_relative_error() -> None:
    """Layer one is the picture, layer two a thousand times it: both count alike."""
    loss = DetectorLoss(lambda x: [x, 1000 * x])
    clean, derained = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 0.5)
    assert float(loss(derained, clean)) == 0
    derained[0] += 0.1  # 0.04 of the first picture's energy, 0 of the second's
    assert float(loss(derained, clean)) == pytest.approx(0.02, rel=1e-3)
    assert float(loss(torch.zeros(2, 3, 4, 4), clean)) == pytest.approx(1, rel=1e-3)


def test_pictures_are_clamped_as_a_detector_gets_them() -> None:
    loss, clean = DetectorLoss(lambda x: [x]), torch.ones(1, 3, 2, 2)
    assert float(loss(clean + 0.3, clean)) == 0


def test_gradients_go_to_the_derained_picture_alone() -> None:
    torch.manual_seed(0)
    backbone = Backbone()
    loss = DetectorLoss(backbone).train()
    statistics = backbone.first[1].running_mean.clone()
    derained, clean = pictures(1).requires_grad_(), pictures(2).requires_grad_()
    loss(derained, clean).backward()
    assert derained.grad.abs().sum() > 0
    assert clean.grad is None
    assert all(p.grad is None and not p.requires_grad for p in backbone.parameters())
    assert torch.equal(backbone.first[1].running_mean, statistics)


def test_it_is_a_term_of_the_training(make_spec: MakeSpec) -> None:
    torch.manual_seed(0)
    network, detector = RealtimeDDAiAM(deep_channels=16, hidden=4), DetectorLoss(Backbone())
    recipe = make_spec(*WITH_DETECTOR).training
    channels = {"rainy": 3, "clean": 3, "streaks": 1, "drops": 1}
    batch = {
        k: torch.randint(256, (2, 1, c, 32, 32), dtype=torch.uint8) for k, c in channels.items()
    }
    chunk = Chunk(network, recipe, detector=detector).train()
    loss, terms, _ = chunk(batch, None)
    plain, without, _ = Chunk(network, make_spec().training).train()(batch, None)
    assert terms.keys() - without.keys() == {"detector"}
    torch.testing.assert_close(loss - plain, terms["detector"])
    with torch.no_grad():
        rainy, clean = (batch[k][:, 0] / 255 for k in ("rainy", "clean"))
        expected = 2.0 * detector(network(rainy).image, clean)
    torch.testing.assert_close(terms["detector"], expected, rtol=1e-4, atol=1e-6)


def test_training_lowers_it() -> None:
    torch.manual_seed(0)
    loss, clean = DetectorLoss(Backbone()), pictures(2)
    derained = pictures(1).requires_grad_()
    optimizer = torch.optim.Adam([derained], lr=0.05)
    before = loss(derained, clean).item()
    for _ in range(20):
        optimizer.zero_grad()
        loss(derained, clean).backward()
        optimizer.step()
    assert loss(derained, clean).item() < 0.2 * before


def test_what_is_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(ConfigError, match=r"set detector\.weights"):
        make_spec("training.losses.detector=1")
    with pytest.raises(ConfigError, match="layers"):
        make_spec(*WITH_DETECTOR, "training.detector.layers=[]")
    with pytest.raises(ModelError, match=r"none\.pt"):
        Chunk(RealtimeDDAiAM(), make_spec(*WITH_DETECTOR).training)
