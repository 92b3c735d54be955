"""Every network of the registry keeps the promises of its descriptor."""

import pytest
import torch

from rainclear.nn.output import Derained
from rainclear.nn.registry import NETWORKS, Network

EVERY = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def test_names() -> None:
    assert all(name == network.name for name, network in NETWORKS.items())
    assert {"d-daiam-rt", "d-daiam", "daiam", "dam", "d-dam", "daiam-daiam"} <= NETWORKS.keys()
    assert all(network.summary for network in NETWORKS.values())


@EVERY
def test_it_builds(network: Network) -> None:
    with torch.device("meta"):
        module = network.build()
    assert sum(p.numel() for p in module.parameters()) > 0


@EVERY
@torch.no_grad()
def test_it_derains(network: Network) -> None:
    torch.manual_seed(0)
    module, m = network.build().eval(), network.size_multiple
    for height, width in ((8 // m * m, 16 // m * m), (m * 2, m * 3)):
        x = torch.rand(1, 3, height, width)
        out = module(x)
        assert isinstance(out, Derained)
        assert out.image.shape == x.shape
        assert out.image.isfinite().all()
        assert (out.state is not None) == network.stateful
        assert out.stages
        assert out.stages[-1].image is out.image
        assert module(x, out.state).image.shape == x.shape


@EVERY
@torch.no_grad()
def test_the_size_multiple_is_the_smallest_that_works(network: Network) -> None:
    if network.size_multiple == 1:
        assert network.build()(torch.rand(1, 3, 5, 7)).image.shape == (1, 3, 5, 7)
        return
    half = network.size_multiple // 2
    for height, width in ((3 * half, 4 * half), (4 * half, 3 * half)):
        with pytest.raises(RuntimeError):
            network.build()(torch.rand(1, 3, height, width))


@EVERY
def test_precisions_begin_with_full(network: Network) -> None:
    assert network.precisions[0] == "fp32"
    assert len(set(network.precisions)) == len(network.precisions)


@EVERY
@torch.no_grad()
def test_it_survives_bf16(network: Network) -> None:
    if "bf16" not in network.precisions:
        pytest.skip("does not claim to")
    torch.manual_seed(0)
    module, x = network.build().eval(), torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        image = module(x).image
    assert image.isfinite().all()
    torch.testing.assert_close(image.float(), module(x).image, atol=0.03, rtol=0.03)


def test_the_ablations_differ_in_attention() -> None:
    modes = {name: NETWORKS[name].build().mode for name in ("dam-zero", "dam-odd", "dam")}
    assert modes == {"dam-zero": "zero", "dam-odd": "odd", "dam": "dual"}
