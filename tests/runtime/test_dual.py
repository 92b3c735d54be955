"""Halves of any size through DPRRN."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rainclear.errors import ConfigError, DeviceError, InputError, ModelError
from rainclear.nn.dprrn import DPRRN, DualDerained
from rainclear.runtime.dual import DualDerainer, _spans


@pytest.fixture(scope="module")
def network() -> DPRRN:
    torch.manual_seed(0)
    network = DPRRN(width=4).eval()
    with torch.no_grad():  # a mask that is not the same everywhere
        for unet in (network.mask_left, network.mask_right):
            unet.tail.weight.mul_(4)
    return network


@pytest.fixture(scope="module")
def derainer(network: DPRRN) -> DualDerainer:
    return DualDerainer.from_network(network, device="cpu", precision="fp32")


def halves(height: int, width: int) -> list[np.ndarray]:
    coarse = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    return [cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in coarse]


@pytest.mark.parametrize("size", [(24, 32), (21, 35), (1, 1)])
def test_any_size(derainer: DualDerainer, size: tuple[int, int]) -> None:
    out = derainer.process(*halves(*size))
    assert out.pixels.shape == (*size, 3) and out.pixels.dtype == np.uint8
    assert out.mask.shape == size and out.mask.dtype == np.float32
    assert 0 <= out.mask.min() <= out.mask.max() <= 1


@torch.no_grad()
def test_it_is_the_network(network: DPRRN) -> None:
    left, right = halves(24, 32)
    x = [torch.from_numpy(h).permute(2, 0, 1)[None] / 255 for h in (left, right)]
    expected = network.halves(*x)
    derainer = DualDerainer.from_network(network, device="cpu", precision="fp32", keep_dry=False)
    out = derainer.process(left, right)
    image = expected.image[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(out.pixels - image).max() <= 0.51
    np.testing.assert_allclose(out.mask, expected.mask[0, 0].numpy(), atol=1e-5)
    assert np.abs(out.pixels - derainer.process(right, left).pixels.astype(float)).mean() > 1


@pytest.fixture
def told(network: DPRRN, monkeypatch: pytest.MonkeyPatch):
    """A derainer whose network finds water where it is told, and a picture of one level for each
    thing that it makes.
    """

    def derainer(left_wet: np.ndarray, right_wet: np.ndarray) -> DualDerainer:
        def halves(left: torch.Tensor, right: torch.Tensor) -> DualDerained:
            made = {
                name: torch.full_like(left, level / 255)
                for name, level in (("image", 100), ("combined", 0), ("left", 40), ("right", 80))
            }
            left_logits, right_logits = (
                torch.from_numpy(np.where(wet, 40.0, -40.0)).float()[None, None]
                for wet in (left_wet, right_wet)
            )
            return DualDerained(left_logits=left_logits, right_logits=right_logits, **made)

        monkeypatch.setattr(network, "halves", halves)
        return DualDerainer.from_network(network, device="cpu", precision="fp32")

    return derainer


def test_dry_halves_stay_as_they_are(told) -> None:
    left, right = halves(32, 40)
    nothing = np.zeros((32, 40), bool)
    assert np.array_equal(told(nothing, nothing).process(left, left).pixels, left)
    mean = (left.astype(float) + right) / 2
    assert np.abs(told(nothing, nothing).process(left, right).pixels - mean).max() <= 0.51


def test_what_one_half_hides_the_other_shows(told) -> None:
    """But for a fiftieth, and a rim as wide as the masks are soft."""
    left, right = halves(32, 40)
    wet = np.zeros((32, 40), bool)
    wet[8:24, 8:24] = True
    inner = np.s_[13:19, 13:19]
    dry = np.zeros_like(wet)

    def found(*masks: np.ndarray) -> np.ndarray:
        return told(*masks).process(left, right).pixels[inner].astype(float)

    assert np.abs(found(wet, dry) - right[inner]).max() <= 0.03 * 255
    assert np.abs(found(dry, wet) - left[inner]).max() <= 0.03 * 255
    # Both are wet: the mean of B, 100, and of that of the derained halves, 60.
    assert np.abs(found(wet, wet) - 80).max() <= 0.51


def test_a_single_picture_stays_one(network: DPRRN) -> None:
    """The ablation may not see the halves behind the network's back."""
    single = DPRRN(width=4, single=True).eval()
    derainer = DualDerainer.from_network(single, device="cpu", precision="fp32")
    left, right = halves(24, 32)
    mean = [((left.astype(int) + right) // 2).astype(np.uint8)] * 2
    a, b = derainer.process(left, right).pixels, derainer.process(*mean).pixels
    assert np.abs(a.astype(int) - b).max() <= 2


def test_padding_replicates_the_border(derainer: DualDerainer) -> None:
    pair = halves(21, 30)
    padded = [cv2.copyMakeBorder(h, 0, 3, 0, 2, cv2.BORDER_REPLICATE) for h in pair]
    assert np.array_equal(
        derainer.process(*pair).pixels, derainer.process(*padded).pixels[:21, :30]
    )


def test_opencv_pictures_are_bgr(derainer: DualDerainer) -> None:
    left, right = halves(24, 32)
    bgr = derainer(left[..., ::-1].copy(), right[..., ::-1].copy())
    assert np.array_equal(bgr[..., ::-1], derainer.process(left, right).pixels)


def test_tiles_cover_and_overlap() -> None:
    for length in (8, 128, 136, 250, 1000, 4000):
        spans = _spans(length // 8 * 8, 128)
        assert spans[0][0] == 0 and spans[-1][1] == length // 8 * 8
        assert all(b - a <= 128 and a % 8 == 0 for a, b in spans)
        assert all(nxt[0] <= this[1] - 56 for this, nxt in pairwise(spans))


def test_tiles_give_the_same_picture(network: DPRRN) -> None:
    """But for the normalisation, which sees a tile and not the picture: switched off here."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.InstanceNorm2d)]
    state = [(m, m.forward) for m in norms]
    try:
        for m in norms:
            m.forward = lambda x: x * 2  # type: ignore[method-assign]
        pair = halves(200, 136)
        whole = DualDerainer.from_network(network, device="cpu", precision="fp32").process(*pair)
        tiled = DualDerainer.from_network(
            network, device="cpu", precision="fp32", tile=128
        ).process(*pair)
    finally:
        for m, forward in state:
            m.forward = forward  # type: ignore[method-assign]
    difference = np.abs(whole.pixels.astype(int) - tiled.pixels)
    assert difference.mean() < 0.1
    assert np.abs(whole.mask - tiled.mask).mean() < 2e-3


@pytest.mark.parametrize("tile", [0, 64, 130])
def test_unusable_tiles(network: DPRRN, tile: int) -> None:
    with pytest.raises(ConfigError, match=f"tile {tile}"):
        DualDerainer.from_network(network, device="cpu", tile=tile)


def test_what_is_no_pair_of_halves(derainer: DualDerainer) -> None:
    left, right = halves(16, 16)
    with pytest.raises(InputError, match="16×16 and 16×8"):
        derainer.process(left, right[:8])
    with pytest.raises(InputError, match="right half must be"):
        derainer.process(left, right[..., 0])
    with pytest.raises(InputError, match="left half must be an H×W×3 array of uint8, not float32"):
        derainer(left.astype(np.float32), right)
    with pytest.raises(InputError, match="not NoneType"):
        derainer(left, None)


def test_models_that_do_not_fit(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="takes single pictures"):
        DualDerainer(str(tiny_model), device="cpu")
    with pytest.raises(ModelError, match="no model named"):
        DualDerainer("dprn", device="cpu")


def test_precisions(network: DPRRN) -> None:
    pair = halves(16, 16)
    full, half = (
        DualDerainer.from_network(network, device="cpu", precision=p).process(*pair)
        for p in ("fp32", "bf16")
    )
    assert np.abs(full.pixels.astype(int) - half.pixels).max() <= 8
    with pytest.raises(DeviceError, match="fp16"):
        DualDerainer.from_network(network, device="cpu", precision="fp16")
