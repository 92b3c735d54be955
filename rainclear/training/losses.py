"""The paper's losses, Eqs. 5 to 15, each under its own name."""

from functools import partial

import torch
from torch import Tensor

from rainclear.config import LossRecipe
from rainclear.nn.output import Branch, Derained

__all__ = ["attention_loss", "derained_losses", "image_loss", "temporal_loss", "total"]

_SOFT = 0.01
"""Where the Charbonnier loss turns from a square into a line."""
_DRY = 1.5 / 255
"""Pixels that rain changed by less count as dry."""


def image_loss(kind: str, output: Tensor, truth: Tensor, *, floor: float = 1e-3) -> Tensor:
    """Distance of two batches of pictures, N×3×H×W.

    ``mse`` (Eq. 6 to 9), ``l1``, ``charbonnier``, or ``psnr``: the mean over pictures of
    ln(1 + MSE / floor), which follows the PSNR as far as the floor, 30 dB for 10⁻³ (after Chen et
    al., HINet, 2021). From nothing, lower floors (37 and 50 dB were tried) give dry pictures so
    much weight that training stays close to "change nothing".
    """
    difference = output - truth
    if kind == "mse":
        return difference.square().mean()
    if kind == "psnr":
        return torch.log1p(difference.square().mean((1, 2, 3)) / floor).mean()
    if kind == "l1":
        return difference.abs().mean()
    return ((difference.square() + _SOFT**2).sqrt() - _SOFT).mean()


def attention_loss(branch: Branch, mask: Tensor, *, balance: float = 0.0) -> Tensor:
    """L_att, Eq. 5: mean |M − S⁺| with the soft mask M, N×1×H×W; wet pixels count 1 + balance·M."""
    distance = (branch.attention - mask).abs()
    return (distance * (1.0 + balance * mask)).mean() if balance else distance.mean()


def temporal_loss(output: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]) -> Tensor:
    """Mean |Δoutput − Δtruth| of two consecutive frames, each N×3×H×W.

    What evaluation calls the temporal error: zero where the output moves as the scene does.
    """
    return ((output[1] - output[0]) - (truth[1] - truth[0])).abs().mean()


def derained_losses(
    out: Derained,
    truth: Tensor,
    streaks: Tensor,
    drops: Tensor,
    recipe: LossRecipe,
    *,
    rainy: Tensor | None = None,
) -> dict[str, Tensor]:
    """Every term of one frame by name, already weighted; their sum is the loss.

    ``final`` is the last stage's picture and ``stage<i>`` the earlier ones (Eq. 15). ``streak_*``
    and ``drop_*`` are L_att, L_heavy and L_light of Eqs. 10, 12 and 13, and the L_global of a DAM
    inside a DAiAM; from the second stage on with the stage's number. A branch that several stages
    share counts once, and so does a picture that is both its branch's and its stage's.

    Args:
        out: The network's answer.
        truth: Clean picture N×3×H×W.
        streaks: Soft mask of the streaks, N×1×H×W in [0, 1].
        drops: Soft mask of the drops, likewise.
        recipe: Weights.
        rainy: The input, needed for the term ``keep``.
    """
    terms: dict[str, Tensor] = {}
    distance = partial(image_loss, recipe.image, floor=recipe.floor)
    *earlier, last = out.stages
    terms["final"] = recipe.final * distance(last.image, truth)
    if recipe.keep and rainy is not None:
        dry = ((rainy - truth).abs().amax(1, keepdim=True) < _DRY).float()
        terms["keep"] = recipe.keep * ((last.image - truth).abs() * dry).mean()
    for i, stage in enumerate(earlier):
        terms[f"stage{i}"] = recipe.stages * distance(stage.image, truth)
    seen: set[int] = set()
    for i, stage in enumerate(out.stages):
        for name, branch, mask in (
            ("streak", stage.streaks, streaks),
            ("drop", stage.drops, drops),
        ):
            if branch is None or id(branch) in seen:
                continue
            seen.add(id(branch))
            suffix = str(i) if i else ""
            attention = attention_loss(branch, mask, balance=recipe.attention_balance)
            terms[f"{name}_att{suffix}"] = recipe.attention * attention
            pictures = (
                ("heavy", branch.heavy, recipe.heavy),
                ("light", branch.light, recipe.light),
                ("global", branch.image, recipe.stages),
            )
            for part, picture, weight in pictures:
                if picture is not None and picture is not stage.image:  # a DAM is its stage
                    loss = weight * distance(picture, truth)
                    terms[f"{name}_{part}{suffix}"] = loss
    return terms


def total(terms: dict[str, Tensor]) -> Tensor:
    """Sum of all terms."""
    return torch.stack(list(terms.values())).sum()
