"""Scores of halves, with networks whose answer is known."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from rainclear.evaluation.dual_pixel import evaluate_halves, intersection_over_union
from rainclear.nn.dprrn import DPRRN
from rainclear.runtime.dual import DualDerainer


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def derainer(*, found: float) -> DualDerainer:
    """It leaves the halves alone and says that all is wet (``found`` > 0) or dry."""
    network = DPRRN(width=2)
    with torch.no_grad():
        for name, bias in (("derain", 0.0), ("mask", found)):
            for side in ("left", "right"):
                tail = getattr(network, f"{name}_{side}").tail
                tail.weight.zero_()
                tail.bias.fill_(bias)
        network.fuse.tail.weight.zero_()
        network.fuse.tail.bias.zero_()
    return DualDerainer.from_network(network, device="cpu", precision="fp32")


@pytest.fixture
def sample() -> dict[str, Tensor]:
    clean = torch.full((3, 16, 24), 100, dtype=torch.uint8)
    left, right = clean.clone(), clean.clone()
    left[:, 4:8, 4:8] = 200
    right[:, 4:8, 12:16] = 200
    return {"left": left, "right": right, "clean": clean}


def test_a_network_that_changes_nothing(sample: dict[str, Tensor]) -> None:
    scores = evaluate_halves([sample, sample], derainer(found=1.0))
    assert scores.pictures == 2
    expected = 10 * math.log10(255**2 / (50**2 * 32 / (16 * 24)))
    assert scores.psnr_input == pytest.approx(expected)
    assert scores.gain == pytest.approx(0.0, abs=1e-3)
    assert 0 < scores.ssim_input == pytest.approx(scores.ssim_output, abs=1e-4)
    assert scores.mask_iou == pytest.approx(32 / (16 * 24))
    assert evaluate_halves([sample], derainer(found=-1.0)).mask_iou == 0.0


def test_means_are_over_pictures(sample: dict[str, Tensor]) -> None:
    other = sample | {"right": sample["left"]}
    alone = [evaluate_halves([s], derainer(found=1.0)) for s in (sample, other)]
    both = evaluate_halves([sample, other], derainer(found=1.0))
    assert alone[0].psnr_input != pytest.approx(alone[1].psnr_input)
    assert both.psnr_input == pytest.approx(np.mean([s.psnr_input for s in alone]))
    assert both.mask_iou == pytest.approx(np.mean([s.mask_iou for s in alone]))


def test_intersection_over_union() -> None:
    a, b = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    assert intersection_over_union(a, b) == 1.0
    a[0], b[:, 0] = True, True
    assert intersection_over_union(a, b) == pytest.approx(1 / 5)
    with pytest.raises(ValueError, match="shape"):
        intersection_over_union(a, b[:1])


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="no samples"):
        evaluate_halves([], derainer(found=1.0))
