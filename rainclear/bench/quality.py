"""What a model's time buys: PSNR on a clip whose truth is known."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from rainclear.bench.clip import Pixels, drawn_scene, rain_on
from rainclear.errors import InputError
from rainclear.evaluation.metrics import psnr
from rainclear.runtime.derainer import Derainer
from rainclear.video import VideoReader

__all__ = ["Quality", "check_clean", "score"]

_SIZE, _FRAMES = (360, 640), 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Mean PSNR over the clip's frames in dB.

    Attributes:
        psnr_rainy_db: Of the rainy frames against the clean ones.
        psnr_db: Of the derained ones.
        frames: Frames scored.
        scene: What it rained on.
    """

    psnr_rainy_db: float
    psnr_db: float
    frames: int
    scene: str

    @property
    def gain_db(self) -> float:
        """What deraining brings."""
        return self.psnr_db - self.psnr_rainy_db


def score(
    model: str, clean: Path | None = None, *, device: str = "auto", threads: int | None = None
) -> Quality:
    """Rain on a clip and derain it, in fp32 with PyTorch.

    Args:
        model: Model by name or folder.
        clean: Dry video whose first frames are used; by default drawn shapes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: Threads of the CPU; ``None`` leaves PyTorch its choice.

    Raises:
        InputError: The video cannot be read or has no frames.
        ModelError: The model is unknown or has no weights.
    """
    if threads:
        torch.set_num_threads(threads)
    derainer = Derainer(model, device=device, precision="fp32", backend="eager")
    truth = drawn_scene(_SIZE, _FRAMES) if clean is None else _read(clean, _FRAMES)
    rainy = rain_on(truth)
    derained = [derainer.process(frame).astype(np.uint8, copy=False) for frame in rainy]
    return Quality(
        psnr_rainy_db=float(np.mean([psnr(a, b) for a, b in zip(rainy, truth, strict=True)])),
        psnr_db=float(np.mean([psnr(a, b) for a, b in zip(derained, truth, strict=True)])),
        frames=len(truth),
        scene="drawn shapes" if clean is None else clean.name,
    )


def check_clean(clean: Path) -> None:
    """Read one frame of the dry video, before minutes are spent on measuring.

    Raises:
        InputError: It cannot be read.
    """
    _read(clean, 1)


def _read(clean: Path, count: int) -> list[Pixels]:
    with VideoReader(clean) as reader:
        frames = [frame.eight_bit() for frame in islice(reader, count)]
    if not frames:
        raise InputError(f"{clean}: has no frames")
    return frames
