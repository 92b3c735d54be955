"""Fit of what finds the veil to collected cells, apart from the rest of its network."""

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.config import UnveilRecipe
from rainclear.errors import ModelError
from rainclear.nn.unveil import Unveil
from rainclear.training.unveil_samples import CellSample

__all__ = ["fit_cells"]

_BATCH = 10
_DROPPED = 0.03
"""Share of what is read that a step does without."""
_FURTHEST = 8.0
"""Deviations from its mean within which a fit looks at what is read."""
_FLATTEST = 0.01
"""Least deviation that what is read is divided by."""
_DECAY = 0.02
_WARM_UP = 0.15
"""Share of the steps over which the learning rate rises."""


def fit_cells(
    unveil: Unveil, samples: Sequence[CellSample], recipe: UnveilRecipe, *, seed: int
) -> Iterator[tuple[float, float]]:
    """Fit in place, going on from what there is; an untrained one is begun anew.

    Least is log((e + f)/(e₀ + f)), e the mean squared error that is left if gain g and offset b
    take the veil off a picture x and all that comes after adds what it did, e₀ that of the input
    and f a floor. It runs on the CPU, whose steps are as fast for so few weights.

    Args:
        unveil: On any device.
        samples: Of at least one frame.
        recipe: Steps and learning rate.
        seed: Seed of order, mirroring and dropped channels.

    Yields:
        After each step the geometric mean of (e + f)/(e₀ + f) and the learning rate. Before the
        last of them the weights are written to ``unveil``, and not earlier.

    Raises:
        ModelError: The loss became NaN.
    """
    rng = np.random.default_rng(seed)
    mean, deviation = _spread(samples)
    fitted = copy.deepcopy(unveil).cpu().float().requires_grad_(True)
    fitted.cell = 1  # what it is given has been averaged
    if fitted.expand.weight.any():
        _to_normal(fitted.read, mean, deviation)
    optimizer = torch.optim.AdamW(fitted.parameters(), recipe.lr, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=recipe.steps, pct_start=_WARM_UP
    )
    for step in range(1, recipe.steps + 1):
        chosen = rng.choice(len(samples), min(_BATCH, len(samples)), replace=False)
        losses = [_loss(fitted, samples[int(i)], mean, deviation, rng) for i in chosen]
        loss = torch.stack(losses).mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss of fitting the veil became {value} at step {step}: lower "
                "training.unveil.lr"
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(fitted.parameters(), 1.0)
        rate = float(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        if step == recipe.steps:
            _from_normal(fitted.read, mean, deviation)
            unveil.load_state_dict(fitted.state_dict())
        yield math.exp(value), rate


def _loss(
    fitted: Unveil, sample: CellSample, mean: Tensor, deviation: Tensor, rng: np.random.Generator
) -> Tensor:
    cells = (sample.cells.float() - mean[:, None, None]) / deviation[:, None, None]
    cells = cells.clamp(-_FURTHEST, _FURTHEST)
    picture, error = sample.picture.float(), sample.error.float()
    if rng.random() < 0.5:
        cells, picture, error = cells.flip(-1), picture.flip(-1), error.flip(-1)
    kept = torch.from_numpy(rng.random(len(cells)) >= _DROPPED)
    cells = cells * (kept / (1 - _DROPPED))[:, None, None].float()
    maps = torch.cat(fitted.maps(*cells[None].split([len(cells) - 5, 2, 3], 1)), 1)
    maps = F.interpolate(maps, size=picture.shape[-2:], mode="bilinear", align_corners=False)
    gain, offset = maps[0].chunk(2)
    left = sample.within + (error + picture * gain + offset).square().mean()
    return torch.log((left + sample.floor) / (sample.rained + sample.floor))


def _spread(samples: Sequence[CellSample]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel that is read."""
    cells = torch.cat([sample.cells.flatten(1)[:, ::5].float() for sample in samples], 1)
    return cells.mean(1), cells.std(1, correction=0).clamp_min(_FLATTEST)


@torch.no_grad()
def _to_normal(read: nn.Conv2d, mean: Tensor, deviation: Tensor) -> None:
    """Let it read (x − mean)/deviation where it read x; its answer stays the same."""
    assert read.bias is not None
    read.bias += read.weight[:, :, 0, 0] @ mean
    read.weight *= deviation[:, None, None]


@torch.no_grad()
def _from_normal(read: nn.Conv2d, mean: Tensor, deviation: Tensor) -> None:
    """The inverse of :func:`_to_normal`."""
    assert read.bias is not None
    read.weight /= deviation[:, None, None]
    read.bias -= read.weight[:, :, 0, 0] @ mean
