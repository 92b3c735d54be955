"""The average of the weights."""

import torch
from torch import nn

from rainclear.training.average import update_average


def test_the_average_follows_slowly() -> None:
    average, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.zeros_(average.weight)
    network.running_mean.fill_(3.0)
    update_average(average, network, step=1000, ema=0.5)
    assert torch.allclose(average.weight, torch.tensor(0.5))
    # An average of few steps forgets the start sooner.
    update_average(average, network, step=0, ema=0.5)
    assert torch.allclose(average.weight, torch.tensor(0.95))
    assert torch.equal(average.running_mean, network.running_mean)
