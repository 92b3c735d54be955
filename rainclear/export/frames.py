"""Frames that an exported file is checked and quantised with."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from rainclear.data.deadleaves import dead_leaves
from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.video import VideoReader, is_image, read_image

__all__ = ["clip_frames", "generated_frames", "rainy_pairs", "random_frames"]

Size = tuple[int, int]


def random_frames(size: Size, count: int) -> list[Tensor]:
    """Uniform noise, 1×3×H×W in [0, 1]: no two layers' errors cancel in it."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, *size, generator=generator) for _ in range(count)]


def generated_frames(size: Size, count: int) -> list[Tensor]:
    """A drawn scene of shapes in the rain, under a camera that pans; 1×3×H×W in [0, 1].

    No photograph, but as smooth, sharp and rainy as what the networks are made for.
    """
    height, width = size
    picture = dead_leaves(np.random.default_rng(0), max(size) + count)
    views = (picture[i : i + height, i : i + width] for i in range(count))
    clean = [_tensor(view.astype(np.float32) / np.float32(255)) for view in views]
    return [rainy for rainy, _ in rainy_pairs(clean)]


def clip_frames(clip: Path, size: Size, count: int) -> list[Tensor]:
    """The first frames of a video, or a picture, scaled to ``size``; 1×3×H×W in [0, 1].

    Raises:
        InputError: The file is missing or no video.
    """
    frames = []
    for frame in _frames(clip):
        pixels = frame.eight_bit()
        if pixels.shape[:2] != size:
            pixels = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        frames.append(_tensor(pixels.astype(np.float32) / np.float32(255)))
        if len(frames) == count:
            break
    if not frames:
        raise InputError(f"{clip}: holds no frames")
    return frames


def rainy_pairs(clean: list[Tensor], kind: str = "moderate") -> list[tuple[Tensor, Tensor]]:
    """Rain on a clip, of a preset: (rainy, clean) for each frame, the same each time."""
    height, width = clean[0].shape[2:]
    rain = RainClip(preset(kind, height=height), height, width, seed=0)
    pairs = []
    for frame in clean:
        view = frame[0].permute(1, 2, 0).numpy()
        pairs.append((_tensor(rain(np.ascontiguousarray(view)).rainy), frame))
    return pairs


def _frames(clip: Path) -> Iterator[Frame]:
    if is_image(clip):
        yield read_image(clip)
        return
    with VideoReader(clip) as reader:
        yield from reader


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])).float()
