"""Training on halves: losses, the two phases, the schedule, and what stops it."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rainclear.config import DualPixelRecipe, ModelSpec, OptimRecipe
from rainclear.data.dual_pixel import DualPixelPairs, held_out_pairs
from rainclear.data.scenes import Scene
from rainclear.errors import ModelError
from rainclear.nn.dprrn import DPRRN, DualDerained
from rainclear.training.checkpoint import load_checkpoint
from rainclear.training.dual_pixel import DualPixelTrainer
from rainclear.training.dual_pixel_losses import image_losses, mask_losses, score_pairs, ssim
from rainclear.training.schedule import step_rate

MakeSpec = Callable[..., ModelSpec]


def make_trainer(spec: ModelSpec, folder: Path, **options: object) -> DualPixelTrainer:
    coarse = np.random.default_rng(0).integers(0, 200, (48, 48, 3), np.uint8)
    scenes = [Scene(name="scene", frames=[coarse])]
    assert spec.training is not None
    torch.manual_seed(0)
    return DualPixelTrainer(
        DPRRN(**{"width": 2} | options),
        spec.training,
        DualPixelPairs(scenes, spec.training.data, seed=0),
        held_out_pairs(scenes, size=(32, 32), views=1),
        folder,
    )


def test_ssim_of_equal_and_of_opposite_pictures() -> None:
    x = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    assert float(ssim(x, x)) == pytest.approx(1.0, abs=1e-5)
    assert float(ssim(1 - x, x)) < -0.5
    assert float(ssim(x * 0.8, x)) < float(ssim(x * 0.95, x)) < 1


def test_ssim_of_flat_pictures_by_hand() -> None:
    a, b = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert float(ssim(a, b)) == pytest.approx(expected, abs=1e-4)


def test_ssim_of_one_window_by_hand() -> None:
    x, y = torch.rand(2, 11, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    r = torch.arange(11) - 5
    w = torch.exp(-(r[:, None] ** 2 + r[None] ** 2) / (2 * 1.5**2)).double()
    w /= w.sum()
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, c = (
        (w * (x - mx) ** 2).sum(),
        (w * (y - my) ** 2).sum(),
        (w * (x - mx) * (y - my)).sum(),
    )
    expected = (2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    value = ssim(x[None, None].float(), y[None, None].float())
    assert float(value) == pytest.approx(float(expected), abs=1e-5)


def test_the_losses_by_name() -> None:
    recipe = DualPixelRecipe(mask=2.0, image=0.5)
    wet, dry = torch.ones(1, 1, 4, 4, dtype=torch.bool), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    terms = mask_losses(
        (torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 5.0)), (wet, dry), recipe
    )
    assert float(terms["left_mask"]) == pytest.approx(2 * math.log(2))
    assert float(terms["right_mask"]) == pytest.approx(2 * math.log1p(math.exp(5)))

    truth = torch.rand(1, 3, 16, 16)
    pictures = [truth, truth * 0.9, truth * 0.7, truth * 0.5]
    out = DualDerained(*pictures, torch.zeros(1), torch.zeros(1))
    images = image_losses(out, truth, recipe)
    assert list(images) == ["left", "right", "combined", "final"]
    for name, picture in zip(("final", "combined", "left", "right"), pictures, strict=True):
        assert float(images[name]) == pytest.approx(-0.5 * float(ssim(picture, truth)))


def test_the_rate_falls_in_steps_as_in_the_paper() -> None:
    optim, recipe = OptimRecipe(steps=500, lr=1e-3), DualPixelRecipe()
    rates = [step_rate(step, optim, recipe) for step in (0, 219, 220, 340, 460, 499)]
    assert rates == pytest.approx([1e-3, 1e-3, 2e-4, 4e-5, 8e-6, 8e-6])
    assert recipe.warmup * 500 == 100


def test_the_warm_up_trains_the_masks_alone(tmp_path: Path, dual_spec: MakeSpec) -> None:
    trainer = make_trainer(dual_spec("training.dual_pixel.warmup=0.5"), tmp_path)
    before = {n: p.clone() for n, p in trainer.network.named_parameters()}
    batches = [{k: v[None] for k, v in trainer.pairs.sample(i).items()} for i in range(3)]
    for batch in batches[:2]:
        assert trainer.warming_up
        assert trainer.train_batch(batch).keys() == {"left_mask", "right_mask"}
    moved = {
        n.split(".")[0]
        for n, p in trainer.network.named_parameters()
        if not torch.equal(p, before[n])
    }
    assert moved == {"mask_left", "mask_right"}
    assert not trainer.warming_up
    names = {"left_mask", "right_mask", "left", "right", "combined", "final"}
    assert trainer.train_batch(batches[2]).keys() == names
    assert not torch.equal(trainer.network.fuse.tail.weight, before["fuse.tail.weight"])


def test_masks_are_learnt(tmp_path: Path, dual_spec: MakeSpec) -> None:
    spec = dual_spec("training.optim.steps=400", "training.optim.lr=0.1")
    trainer = make_trainer(spec, tmp_path)
    batch = {k: v[None].repeat(2, 1, 1, 1) for k, v in trainer.pairs.sample(1).items()}
    first = trainer.train_batch(batch)["left_mask"]
    for _ in range(20):
        last = trainer.train_batch(batch)["left_mask"]
    assert last < 0.5 * first


def test_the_single_network_is_asked_for_both_masks_at_once(
    tmp_path: Path, dual_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def record(logits, masks, recipe):
        asked["masks"] = masks
        return mask_losses(logits, masks, recipe)

    monkeypatch.setattr("rainclear.training.dual_pixel.mask_losses", record)
    for single in (False, True):
        trainer = make_trainer(dual_spec(), tmp_path, single=single)
        trainer.train_batch({k: v[None] for k, v in trainer.pairs.sample(1).items()})
        left, right = asked["masks"]
        assert torch.equal(left, right) == single
        assert left.sum() == (60 if single else 36)


def test_scores_of_a_network_that_changes_nothing(dual_spec: MakeSpec) -> None:
    dual_spec()
    network = DPRRN(width=2)
    with torch.no_grad():
        for unet in (network.derain_left, network.derain_right, network.fuse):
            unet.tail.weight.zero_()
            unet.tail.bias.zero_()
        for unet in (network.mask_left, network.mask_right):
            unet.tail.weight.zero_()
            unet.tail.bias.fill_(1.0)  # water everywhere
    scene = Scene(name="grey", frames=[np.full((32, 32, 3), 99, np.uint8)])
    scores = score_pairs(network, held_out_pairs([scene], size=(32, 32), views=2))
    assert scores["gain"] == pytest.approx(0.0, abs=0.05)
    assert scores["iou"] == pytest.approx(60 / 32**2)
    # The halves' mean: 12 of 60 wet pixels are seen by both, 48 by one of them, at half strength.
    error = ((156 / 255) ** 2 * 12 + (78 / 255) ** 2 * 48) / 32**2
    assert scores["input"] == pytest.approx(-10 * math.log10(error), abs=0.01)
    assert 0.5 < scores["ssim"] < 1


def test_a_broken_loss_stops_with_the_batch(tmp_path: Path, dual_spec: MakeSpec) -> None:
    trainer = make_trainer(dual_spec(), tmp_path)
    with torch.no_grad():
        trainer.network.mask_left.tail.bias.fill_(math.nan)
    batch = {k: v[None] for k, v in trainer.pairs.sample(1).items()}
    with pytest.raises(ModelError, match="nan at step 0"):
        trainer.train_batch(batch)
    saved = load_checkpoint(tmp_path / "nan-batch.ckpt")
    assert torch.equal(saved["left"], batch["left"])


def test_a_broken_gradient_leaves_the_weights(tmp_path: Path, dual_spec: MakeSpec) -> None:
    trainer = make_trainer(dual_spec(), tmp_path)
    bias = trainer.network.mask_left.tail.bias
    bias.register_hook(lambda grad: grad * math.inf)
    before = bias.detach().clone()
    batch = {k: v[None] for k, v in trainer.pairs.sample(1).items()}
    with pytest.raises(ModelError, match=r"gradient's norm became (inf|nan) at step 0"):
        trainer.train_batch(batch)
    assert torch.equal(bias, before)
    assert (tmp_path / "nan-batch.ckpt").exists()
