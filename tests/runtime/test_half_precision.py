"""Which number formats the published networks survive: measured, not hoped."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rainclear.nn.registry import NETWORKS
from rainclear.runtime.load import load_model, network_of
from rainclear.zoo import find_model, list_models

LARGEST_FP16 = 65504
MARGIN = 16
"""Other pictures may drive the network harder than these do."""
FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
ALLOWED = {"bf16": 5.0, "fp16": 2.0}
"""Largest difference to fp32 in code values."""


class Largest(TorchDispatchMode):
    """The largest magnitude that any operation gives."""

    value = 0.0

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # or torch's compiler is imported, for nothing

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if "empty" not in func.overloadpacket.__name__:  # which has no values yet
            for tensor in tree_leaves(out):
                if (
                    isinstance(tensor, torch.Tensor)
                    and tensor.is_floating_point()
                    and tensor.numel()
                ):
                    self.value = max(self.value, float(tensor.abs().max()))
        return out


def pictures(picture) -> list[np.ndarray]:
    """A scene, noise, black and white, one after the other, as one frame each."""
    scene = picture(0, 64, 48)
    noise = np.random.default_rng(0).integers(0, 256, scene.shape, np.uint8)
    return [scene, np.roll(scene, 5, 1), noise, np.zeros_like(scene), np.full_like(scene, 255)]


@torch.inference_mode()
def derained(network, frames, dtype=None) -> list[torch.Tensor]:
    state, out = None, []
    for frame in frames:
        x = torch.from_numpy(frame).float().div(255).permute(2, 0, 1)[None]
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            answer = network(x, state)
        state = answer.state
        out.append(answer.image.float().clamp(0, 1) * 255)
    return out


def measured(network, frames) -> float:
    with Largest() as largest:
        derained(network, frames)
    return largest.value


@pytest.mark.parametrize("name", [folder.spec.name for folder in list_models()])
def test_published_networks_survive_the_formats_they_claim(name, picture):
    torch.set_num_threads(1)
    folder = find_model(name)
    if folder.spec.weights is None:
        pytest.skip(f"{name} ships without weights")
    descriptor = network_of(folder.spec.architecture)
    if descriptor.name == "dprrn":
        pytest.skip("dprrn takes the two halves of a dual pixel")
    network = load_model(name)
    frames = pictures(picture)
    exact = derained(network, frames)
    survived = {"fp32"}
    for precision, allowed in ALLOWED.items():
        pairs = zip(exact, derained(network, frames, FORMATS[precision]), strict=True)
        # NaN compares as false.
        if all((got - wanted).abs().max() < allowed for wanted, got in pairs):
            survived.add(precision)
    if measured(network, frames) > LARGEST_FP16 / MARGIN:
        survived.discard("fp16")
    assert set(descriptor.precisions) <= survived
    # What docs/streams.md says.
    assert name != "d-daiam-rt" or "fp16" in survived


def test_a_network_that_would_overflow_is_seen(tiny_model, picture):
    network = load_model(str(tiny_model))
    before = measured(network, pictures(picture)[:1])
    with torch.no_grad():
        next(p for p in network.parameters() if p.ndim == 4).mul_(1e5)
    assert measured(network, pictures(picture)[:1]) > 100 * before
    assert "fp32" in NETWORKS["d-daiam-rt"].precisions
