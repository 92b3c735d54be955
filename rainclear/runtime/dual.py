"""DPRRN over pictures of any size: padding, tiles and conversions."""

from dataclasses import dataclass
from itertools import pairwise, product

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from rainclear.errors import ConfigError, InputError, ModelError
from rainclear.nn.dprrn import DPRRN, DualDerained
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.device import resolve_device, resolve_precision
from rainclear.runtime.load import load_model
from rainclear.runtime.pixels import as_input, check_picture

__all__ = ["DualDerainer", "DualPicture"]

Picture = npt.NDArray[np.uint8]

_OVERLAP = 64
_SMALLEST_TILE = 2 * _OVERLAP
_SOFT = 1.0
"""Standard deviation in pixels of the blur of the masks before pictures are mixed by them."""
_SURE = 1.02
"""Dryness of a half is counted from here, so that two wet halves weigh alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DualPicture:
    """What two halves give.

    Attributes:
        pixels: The clean picture, H×W×3 RGB uint8.
        mask: Where the drops were, H×W float32 in [0, 1].
    """

    pixels: Picture
    mask: npt.NDArray[np.float32]


class DualDerainer:
    """Takes the drops out of pictures of a dual-pixel sensor, each given as its two halves.

    Args:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32`` or ``bf16``.
        tile: Height and width in pixels, a multiple of 8, of the parts that a picture is cut into
            to save memory (1280×720 as a whole needs about 3 GB); they overlap by 64 pixels and are
            blended. ``None`` takes it as a whole, which is how the network normalises: parts that
            differ much in brightness come out slightly different.
        keep_dry: Where a half is dry, take it as the sensor saw it, and where both are wet, the
            mean of B and of the derained halves. A drop lies in different places in the halves, so
            one of them often shows what it hides. ``False`` gives the network's B, as published.

    Raises:
        ModelError: The model is unknown, has no weights, or is not one for dual pixels.
        DeviceError: This machine has no such device or the network no such precision.
        ConfigError: ``tile`` is too small or no multiple of 8.

    Example:
        >>> derainer = DualDerainer("dprrn")
        >>> clean = derainer(cv2.imread("left.png"), cv2.imread("right.png"))
    """

    def __init__(
        self,
        model: str = "dprrn",
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        keep_dry: bool = True,
    ) -> None:
        network = load_model(model)
        if not isinstance(network, DPRRN):
            raise ModelError(
                f"model {model!r} takes single pictures, not dual-pixel halves; "
                f"use it with: rainclear derain --model {model}"
            )
        self._init(network, device, precision, tile, keep_dry)

    @classmethod
    def from_network(
        cls,
        network: DPRRN,
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        keep_dry: bool = True,
    ) -> "DualDerainer":
        """Wrap a network that is at hand, such as one being trained."""
        self = cls.__new__(cls)
        self._init(network, device, precision, tile, keep_dry)
        return self

    def _init(
        self, network: DPRRN, device: str, precision: str, tile: int | None, keep_dry: bool
    ) -> None:
        descriptor = NETWORKS["dprrn"]
        self._multiple = descriptor.size_multiple
        if tile is not None and (tile < _SMALLEST_TILE or tile % self._multiple):
            raise ConfigError(
                f"tile {tile}: use a multiple of {self._multiple}, at least {_SMALLEST_TILE}"
            )
        self._tile, self._keep_dry = tile, keep_dry
        self._device = resolve_device(device)
        self._dtype = resolve_precision(precision, self._device, descriptor.precisions)
        self._network = network.to(
            self._device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        ).eval()

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._device

    def __call__(self, left: Picture, right: Picture) -> Picture:
        """Derain two halves as OpenCV gives them: H×W×3 BGR uint8 in, the same out.

        Raises:
            InputError: They are not H×W×3 uint8 of one size.
        """
        _check(left, right)
        halves = (cv2.cvtColor(half, cv2.COLOR_BGR2RGB) for half in (left, right))
        bgr: Picture = cv2.cvtColor(self.process(*halves).pixels, cv2.COLOR_RGB2BGR)
        return bgr

    @torch.inference_mode()
    def process(self, left: Picture, right: Picture) -> DualPicture:
        """Derain two halves, H×W×3 RGB uint8 of one size; a grey half has three equal channels.

        Raises:
            InputError: They have another shape or type, or differ in size.
        """
        _check(left, right)
        height, width = left.shape[:2]
        halves = [as_input(half, self._multiple, self._device) for half in (left, right)]
        x = torch.cat(halves, dim=1)
        out = self._whole(x) if self._tile is None else self._tiled(x, self._tile)
        out = out[0, :, :height, :width].clamp_(0.0, 1.0)
        pixels = out[:3].mul(255.0).round_().to(torch.uint8).permute(1, 2, 0)
        return DualPicture(pixels=pixels.contiguous().cpu().numpy(), mask=out[3].cpu().numpy())

    def _whole(self, x: Tensor) -> Tensor:
        """1×4×H×W, picture and mask, from the halves 1×6×H×W."""
        left, right = x.contiguous(memory_format=torch.channels_last).chunk(2, dim=1)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            out = self._network.halves(left, right)
        if not self._keep_dry:
            return torch.cat((out.image.float(), out.mask.float()), dim=1)
        if self._network.single:  # it has seen their mean alone
            left = right = (left + right) / 2
        return torch.cat((_mixed(left, right, out), out.mask.float()), dim=1)

    def _tiled(self, x: Tensor, tile: int) -> Tensor:
        """As :meth:`_whole`, tile by tile."""
        height, width = x.shape[-2:]
        total = x.new_zeros(1, 4, height, width)
        weights = x.new_zeros(1, 1, height, width)
        for (y0, y1), (x0, x1) in product(_spans(height, tile), _spans(width, tile)):
            ramp = _ramp(y1 - y0, x)[:, None] * _ramp(x1 - x0, x)[None]
            total[..., y0:y1, x0:x1] += ramp * self._whole(x[..., y0:y1, x0:x1])
            weights[..., y0:y1, x0:x1] += ramp
        return total.div_(weights)


def _mixed(left: Tensor, right: Tensor, out: DualDerained) -> Tensor:
    """Dry halves as they are, and where both are wet the mean of B and of the derained halves."""
    wet_left, wet_right = (
        _blurred(logits.float().sigmoid()) for logits in (out.left_logits, out.right_logits)
    )
    share = (_SURE - wet_left) / (2 * _SURE - wet_left - wet_right)  # of the left half
    seen, derained = (
        share * a + (1 - share) * b
        for a, b in ((left, right), (out.left.float().clamp(0, 1), out.right.float().clamp(0, 1)))
    )
    found = (out.image.float().clamp(0, 1) + derained) / 2
    return seen + torch.minimum(wet_left, wet_right) * (found - seen)


def _blurred(mask: Tensor) -> Tensor:
    """Gaussian blur of a mask N×1×H×W; the border is continued."""
    reach = round(4 * _SOFT)
    at = torch.arange(-reach, reach + 1, device=mask.device, dtype=mask.dtype)
    kernel = torch.exp(-0.5 * (at / _SOFT).square())
    kernel /= kernel.sum()
    padded = F.pad(mask, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _spans(length: int, tile: int) -> list[tuple[int, int]]:
    """Spans of at most ``tile`` that cover ``length`` and overlap by 64 or more, multiples of 8."""
    if length <= tile:
        return [(0, length)]
    count = -(-(length - _OVERLAP) // (tile - _OVERLAP))
    starts = np.linspace(0, (length - tile) // 8, count).astype(int) * 8
    spans = [(int(start), int(start) + tile) for start in starts]
    assert all(b[0] <= a[1] for a, b in pairwise(spans))
    return spans


def _ramp(length: int, like: Tensor) -> Tensor:
    """Weights that rise over the overlap at both ends, and are never 0."""
    index = torch.arange(length, device=like.device, dtype=like.dtype)
    return ((torch.minimum(index, length - 1 - index) + 1) / _OVERLAP).clamp_(max=1.0)


def _check(left: object, right: object) -> None:
    for name, half in (("left", left), ("right", right)):
        check_picture(half, np.uint8, name=f"the {name} half")
    sizes = [half.shape for half in (left, right)]  # type: ignore[attr-defined]
    if sizes[0] != sizes[1]:
        raise InputError(
            "the halves differ in size: "
            + " and ".join(f"{width}×{height}" for height, width, _ in sizes)
        )
