"""LPIPS (Zhang et al., CVPR 2018), where its package and its backbone are on this machine."""

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from rainclear.evaluation.metrics import Picture

__all__ = ["Perceptual", "find_lpips"]

Perceptual = Callable[[Picture, Picture], float]


def find_lpips(device: torch.device) -> tuple[Perceptual | None, str | None]:
    """LPIPS with AlexNet as a function of picture and truth; nothing is ever downloaded.

    Returns:
        The function, or ``None`` with a note that says what is missing. Without the package there
        is neither.
    """
    if importlib.util.find_spec("lpips") is None:
        return None, None
    try:
        url = importlib.import_module("torchvision.models").AlexNet_Weights.DEFAULT.url
    except ImportError:
        return None, "LPIPS is left out: it needs the package torchvision"
    backbone = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    if not backbone.is_file():
        return None, (
            f"LPIPS is left out: its backbone {backbone} is missing, and nothing is downloaded; "
            "put torchvision's AlexNet weights there"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips uses an argument that torchvision gave up
        network = importlib.import_module("lpips").LPIPS(net="alex", verbose=False)
    network = network.to(device).eval()

    @torch.inference_mode()
    def measure(picture: Picture, truth: Picture) -> float:
        return float(network(_tensor(picture, device), _tensor(truth, device)))

    return measure, None


def _tensor(picture: Picture, device: torch.device) -> Any:
    """1×3×H×W in [-1, 1]."""
    pixels = torch.from_numpy(picture.copy()).to(device).float()
    return (pixels / 127.5 - 1).permute(2, 0, 1)[None]
