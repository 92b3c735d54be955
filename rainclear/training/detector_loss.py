"""What rain does to a detector: the distance of its features on derained and on clean pictures.

A high PSNR alone does not help a detector. This loss takes nothing for a mistake but what a frozen
detector sees; its gradient goes into the derained picture.
"""

from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import Tensor, nn

from rainclear.config import DetectorRecipe

__all__ = ["DetectorLoss", "Features", "load_detector_loss"]

_EPSILON = 1e-6


class Features(Protocol):
    """Anything that gives features of pictures; a module's parameters have to be frozen."""

    def __call__(self, pictures: Tensor) -> Sequence[Tensor]:
        """Features N×C×h×w, one or several, of pictures N×3×H×W, RGB in [0, 1]."""


class DetectorLoss(nn.Module):
    """Relative squared error of features, the mean over layers and pictures.

    Each layer counts alike: ‖f(derained) − f(clean)‖² / ‖f(clean)‖² is 0 where the detector sees
    no difference, and 1 where as much is wrong as there is.

    Args:
        features: The detector's features. It is moved and frozen with the loss if it is a module.
    """

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: the detector's statistics are not the training's to change."""
        return super().train(False)

    def forward(self, derained: Tensor, clean: Tensor) -> Tensor:
        """Distance of two batches of pictures N×3×H×W; they are clamped to [0, 1] first.

        Gradients go to ``derained`` alone.
        """
        with torch.no_grad():
            wanted = self.features(clean.clamp(0, 1))
        found = self.features(derained.clamp(0, 1))
        errors = [_relative(f.float(), w.float()) for f, w in zip(found, wanted, strict=True)]
        return torch.stack(errors).mean()


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    energy = wanted.square().mean((1, 2, 3))
    return ((found - wanted).square().mean((1, 2, 3)) / (energy + _EPSILON)).mean()


def load_detector_loss(recipe: DetectorRecipe) -> DetectorLoss:
    """The loss with the detector that a recipe names, read by the safe loader.

    Raises:
        ModelError: The weights are missing or broken, ultralytics is not installed, or the
            detector has no such layers.
    """
    # Here, as it imports ultralytics (AGPL-3.0), which nothing but this loss needs in training.
    from rainclear.detection.features import UltralyticsFeatures

    return DetectorLoss(
        UltralyticsFeatures(recipe.weights, layers=recipe.layers, scale=recipe.scale)
    )
