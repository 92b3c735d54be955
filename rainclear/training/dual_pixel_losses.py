"""What DPRRN is trained for, masks and negative SSIM, and how well it does."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rainclear.config import DualPixelRecipe
from rainclear.data.dual_pixel import water_mask
from rainclear.nn.dprrn import DPRRN, DualDerained

__all__ = ["image_losses", "mask_losses", "score_pairs", "ssim"]

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(output: Tensor, truth: Tensor) -> Tensor:
    """Mean structural similarity of two batches N×C×H×W in [0, 1], at least 11×11, by channel.

    Gaussian window of 11×11, σ = 1.5, where it lies inside the picture (Wang et al., 2004).
    """
    offsets = torch.arange(_WINDOW, device=output.device, dtype=torch.float32) - _WINDOW // 2
    window = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    window = window / window.sum()
    x, y = (t.float().reshape(-1, 1, *t.shape[-2:]) for t in (output, truth))
    stack = torch.stack((x, y, x * x, y * y, x * y)).flatten(0, 1)
    stack = F.conv2d(stack, window.view(1, 1, 1, -1))
    stack = F.conv2d(stack, window.view(1, 1, -1, 1))
    mean_x, mean_y, square_x, square_y, product = stack.unflatten(0, (5, -1))
    numerator = (2 * mean_x * mean_y + _C1) * (2 * (product - mean_x * mean_y) + _C2)
    spread = (square_x - mean_x**2) + (square_y - mean_y**2)
    return (numerator / ((mean_x**2 + mean_y**2 + _C1) * (spread + _C2))).mean()


def mask_losses(
    logits: tuple[Tensor, Tensor], masks: tuple[Tensor, Tensor], recipe: DualPixelRecipe
) -> dict[str, Tensor]:
    """Binary cross-entropy of M_l and M_r by name, weighted.

    Args:
        logits: M_l and M_r before the sigmoid, N×1×H×W.
        masks: Where there is water in the halves, N×1×H×W, bool.
        recipe: Weights.
    """
    return {
        f"{name}_mask": recipe.mask
        * F.binary_cross_entropy_with_logits(given.float(), true.float())
        for name, given, true in zip(("left", "right"), logits, masks, strict=True)
    }


def image_losses(out: DualDerained, truth: Tensor, recipe: DualPixelRecipe) -> dict[str, Tensor]:
    """Negative SSIM of B_l, B_r, B_c and B against the clean picture N×3×H×W, by name, weighted."""
    pictures = {"left": out.left, "right": out.right, "combined": out.combined, "final": out.image}
    return {name: -recipe.image * ssim(picture, truth) for name, picture in pictures.items()}


@torch.inference_mode()
def score_pairs(network: DPRRN, samples: list[dict[str, Tensor]]) -> dict[str, float]:
    """Means over samples of :func:`rainclear.data.dual_pixel.wet_halves`.

    Returns:
        ``input`` and ``output``, PSNR in dB of the halves' mean and of the result; ``gain``, their
        difference; ``ssim`` of the result; ``iou`` of M_c at 0.5.
    """
    network.eval()
    device = next(network.parameters()).device
    rows = []
    for sample in samples:
        left, right, clean = (sample[k][None].to(device) for k in ("left", "right", "clean"))
        water = water_mask(left, clean) | water_mask(right, clean)
        halves, truth = (left.float() / 255, right.float() / 255), clean.float() / 255
        out = network.halves(*halves)
        image = out.image.clamp(0, 1).mul(255).round().div(255)
        found = out.mask >= 0.5
        union = int((found | water).sum())
        rows.append(
            (
                _psnr((halves[0] + halves[1]) / 2, truth),
                _psnr(image, truth),
                float(ssim(image, truth)),
                int((found & water).sum()) / union if union else 1.0,
            )
        )
    before, after, similarity, iou = np.mean(rows, axis=0).tolist()
    return {
        "input": before,
        "output": after,
        "gain": after - before,
        "ssim": similarity,
        "iou": iou,
    }


def _psnr(output: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(max(float((output - truth).square().mean()), 1e-8))
