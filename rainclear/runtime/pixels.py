"""Between pictures, which are H×W×3 arrays of full-range integers, and what networks take."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from rainclear.errors import InputError

__all__ = ["Picture", "as_bytes", "as_input", "as_picture", "check_picture"]

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def as_input(rgb: Picture, multiple: int, device: torch.device) -> Tensor:
    """1×3×H×W float in [0, 1], channels-last, padded by replication.

    Args:
        rgb: H×W×3.
        multiple: Of what H and W are to be.
        device: Where the tensor goes.
    """
    scale = 255.0 if rgb.dtype == np.uint8 else 65535.0
    if rgb.dtype == np.uint16 and device.type == "cpu":
        pixels = torch.from_numpy(rgb.astype(np.float32))
    else:
        pixels = torch.from_numpy(np.require(rgb, requirements=["C", "W"])).to(device).float()
    x = pixels.mul_(1.0 / scale).permute(2, 0, 1)[None]
    bottom, right = _missing(rgb, multiple)
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
    return x.contiguous(memory_format=torch.channels_last)


def as_bytes(rgb: Picture, multiple: int) -> Tensor:
    """1×H×W×3 uint8, padded by replication to a multiple of a size."""
    bottom, right = _missing(rgb, multiple)
    padded = np.pad(rgb, ((0, bottom), (0, right), (0, 0)), "edge") if bottom or right else rgb
    return torch.from_numpy(np.require(padded, requirements=["C", "W"]))[None]


def as_picture(image: Tensor, dtype: npt.DTypeLike) -> Picture:
    """H×W×3 array of uint8 or uint16 from 1×3×H×W in [0, 1]: clamped and rounded."""
    scale = 255.0 if dtype == np.uint8 else 65535.0
    scaled = image[0].float().clamp(0.0, 1.0).mul_(scale).round_().permute(1, 2, 0)
    if dtype == np.uint8:
        return scaled.to(torch.uint8).contiguous().cpu().numpy()
    return scaled.contiguous().cpu().numpy().astype(np.uint16)


def check_picture(picture: object, *kinds: type[np.generic], name: str = "a frame") -> None:
    """Say what is wrong with what should be a picture.

    Raises:
        InputError: It is no H×W×3 array of one of the ``kinds``.
    """
    if (
        not isinstance(picture, np.ndarray)
        or picture.ndim != 3
        or picture.shape[2] != 3
        or not picture.size
        or picture.dtype not in kinds
    ):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"{name} must be an H×W×3 array of {names}, not {_what(picture)}")


def _missing(rgb: Picture, multiple: int) -> tuple[int, int]:
    """Rows below and columns to the right that make the sides multiples."""
    return -rgb.shape[0] % multiple, -rgb.shape[1] % multiple


def _what(value: object) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{dtype} of shape {tuple(shape)}"
