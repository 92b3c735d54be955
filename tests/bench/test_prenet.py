import pytest
import torch
from torch.nn import functional as F

from rainclear.bench.prenet import PRENET, PReNet
from rainclear.bench.subject import cost
from rainclear.nn.registry import NETWORKS

SIDE = 64


def test_counts_of_the_published_architecture():
    counted = cost(PReNet(), (SIDE, SIDE))
    assert counted.parameters == 168_963
    assert counted.multiply_adds == 1_010_880 * SIDE * SIDE


def test_is_no_model():
    assert PRENET.name not in NETWORKS


@torch.no_grad()
def published(network: PReNet, x: torch.Tensor) -> torch.Tensor:
    """The same, written out as the paper's figures have it: four gates, six passes."""

    def conv(layer, value):
        return F.conv2d(value, layer.weight, layer.bias, padding=1)

    def gate(k, value):
        part = slice(32 * k, 32 * (k + 1))
        return F.conv2d(value, network.gates.weight[part], network.gates.bias[part], padding=1)

    out, h, c = x, torch.zeros(1, 32, *x.shape[2:]), torch.zeros(1, 32, *x.shape[2:])
    for _ in range(6):
        both = torch.cat([conv(network.head, torch.cat([x, out], 1)).relu(), h], 1)
        i, f, g, o = (gate(k, both) for k in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        y = h
        for block in network.body:
            y = (conv(block.second, conv(block.first, y).relu()).relu() + y).relu()
        out = conv(network.tail, y) + x
    return out


@torch.no_grad()
def test_numbers_of_the_published_architecture():
    torch.manual_seed(0)
    network, x = PReNet().eval(), torch.rand(1, 3, 12, 20)
    out = network(x)
    torch.testing.assert_close(out.image, published(network, x))
    assert out.state is None and out.stages[-1].image is out.image


@pytest.mark.parametrize("stages", [1, 3])
def test_passes_share_their_weights(stages):
    counted = cost(PReNet(stages=stages), (SIDE, SIDE))
    assert counted.parameters == 168_963
    assert counted.multiply_adds == 1_010_880 * SIDE * SIDE * stages // 6
