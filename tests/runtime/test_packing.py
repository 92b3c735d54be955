"""Weights in 8 bits a value."""

import torch

from rainclear.runtime.packing import pack_weights, unpack_weights


def test_large_kernels_keep_all_but_a_255th_of_each_channel() -> None:
    torch.manual_seed(0)
    spread = torch.logspace(-3, 1, 16).reshape(-1, 1, 1, 1)  # channels of very different size
    weights = {
        "conv.weight": torch.randn(16, 32, 3, 3) * spread,
        "conv.bias": torch.randn(16),
        "narrow.weight": torch.randn(3, 8, 3, 3),
        "zero.weight": torch.zeros(64, 64, 3, 3),
        "norm.count": torch.tensor(7),
    }
    packed = pack_weights(weights)
    assert packed["conv.weight"].dtype == torch.int8
    assert set(packed) == {*weights, "conv.weight:scale", "zero.weight:scale"}
    found = unpack_weights(packed)
    assert set(found) == set(weights)
    for name in ("conv.bias", "narrow.weight", "zero.weight", "norm.count"):
        assert torch.equal(found[name], weights[name])
    error = (found["conv.weight"] - weights["conv.weight"]).abs().amax((1, 2, 3))
    largest = weights["conv.weight"].abs().amax((1, 2, 3))
    assert (error <= largest / 254 * 1.001).all()
    assert (error > 0).all()
    values = sum(t.numel() * t.element_size() for t in packed.values())
    assert values < 0.27 * sum(t.numel() * t.element_size() for t in weights.values())


def test_weights_that_were_not_packed_are_left_alone() -> None:
    weights = {"a.weight": torch.randn(2, 3), "b": torch.arange(3)}
    assert all(unpack_weights(weights)[name] is value for name, value in weights.items())
