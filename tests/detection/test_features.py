"""Features inside a detector."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rainclear.config import DetectorRecipe
from rainclear.detection.features import UltralyticsFeatures
from rainclear.errors import ModelError
from rainclear.training.detector_loss import DetectorLoss, load_detector_loss


def tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def test_they_are_what_the_detector_computes(random_yolo: Path, street: np.ndarray) -> None:
    from rainclear.detection.yolo import load_yolo

    x = tensor(street)[..., :128, :160].contiguous()
    features = UltralyticsFeatures(random_yolo, layers=(4, 22, 16))
    model, expected = load_yolo(random_yolo).model.eval(), {}
    for layer in (4, 16, 22):
        model.model[layer].register_forward_hook(
            lambda module, given, out, layer=layer: expected.update({layer: out.clone()})
        )
    model(x)
    found = features(x)
    assert [f.shape[-1] for f in found] == [20, 5, 20]
    for layer, feature in zip((4, 22, 16), found, strict=True):
        wanted = expected[layer]  # not fused, so rounded otherwise
        assert float((feature - wanted).norm() / wanted.norm()) < 1e-3


def test_the_detector_is_frozen_and_the_picture_gets_gradients(random_yolo: Path) -> None:
    features = UltralyticsFeatures(random_yolo, layers=(4,))
    assert len(features.body) == 5  # the layers behind are not computed
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    features(x)[0].square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(not p.requires_grad for p in features.parameters())


@torch.no_grad()
def test_sizes_and_scale(random_yolo: Path) -> None:
    whole = UltralyticsFeatures(random_yolo, layers=(4,))
    half = UltralyticsFeatures(random_yolo, layers=(4,), scale=0.5)
    x = torch.rand(1, 3, 64, 128)
    assert whole(x[..., :40, :40])[0].shape[-2:] == (8, 8)  # padded to 64×64
    averaged = torch.nn.functional.avg_pool2d(x, 2)
    torch.testing.assert_close(half(x)[0], whole(averaged)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [(23,), (-1,), ()])
def test_layers_that_are_not_there(random_yolo: Path, layers: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="layers 0 to 22"):
        UltralyticsFeatures(random_yolo, layers=layers)


def test_weights_that_are_not_there() -> None:
    with pytest.raises(ModelError, match=r"nowhere\.pt"):
        UltralyticsFeatures("nowhere.pt", layers=(4,))


@torch.no_grad()
@pytest.mark.parametrize("name", ["yolo11n.pt", "yolo26n.pt"])
def test_a_real_detector_sees_the_rain(
    real_weights: Callable[[str], Path], street: np.ndarray, name: str
) -> None:
    loss = load_detector_loss(DetectorRecipe(weights=str(real_weights(name))))
    assert isinstance(loss, DetectorLoss)
    clean = tensor(street)[..., :192, :192]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    little, much = (float(loss(clean + level * noise, clean)) for level in (0.02, 0.1))
    assert 0 < little < 0.5 * much
    assert float(loss(clean, clean)) == 0
