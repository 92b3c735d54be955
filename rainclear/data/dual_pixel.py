"""Dual-pixel training samples: clean scenes seen through wet glass by both halves of a pixel."""

import itertools
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rainclear.config import DataRecipe
from rainclear.data.deadleaves import dead_leaves
from rainclear.data.scenes import Scene, sample_clip
from rainclear.rain.dual_pixel import random_dual_drops, render_halves

__all__ = ["DualPixelPairs", "held_out_pairs", "render_water", "water_mask", "wet_halves"]

Float = npt.NDArray[np.float32]
Render = Callable[[Float, np.random.Generator], tuple[Float, Float]]
"""Draws water on a scene H×W×3 in [0, 1]: its left and right half, of the same kind."""

_LEAVES = 96


def wet_halves(
    scene: Float, rng: np.random.Generator, *, render: Render | None, margin: int = 0
) -> dict[str, Tensor]:
    """One sample: the two halves of a scene, and the scene itself, which is in focus for both.

    Args:
        scene: Clean picture H×W×3 in [0, 1].
        rng: Source of all randomness.
        render: Draws the water; ``None`` leaves the scene dry.
        margin: Pixels cut off on every side afterwards, so that drops show what lies outside.

    Returns:
        ``left``, ``right`` and ``clean``, 3×h×w uint8. A half differs from ``clean`` where there is
        water and nowhere else.
    """
    left, right = (scene, scene) if render is None else render(scene, rng)
    height, width = scene.shape[:2]
    inner = np.s_[margin : height - margin, margin : width - margin]
    pictures = {"left": left, "right": right, "clean": scene}
    return {name: _bytes(picture[inner]) for name, picture in pictures.items()}


def _bytes(picture: Float) -> Tensor:
    levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))


def water_mask(half: Tensor, clean: Tensor) -> Tensor:
    """Where water changed a half in any channel: N×1×H×W bool from two N×3×H×W uint8."""
    return (half != clean).any(dim=1, keepdim=True)


class DualPixelPairs:
    """An endless stream of halves with drops; sample ``i`` depends on ``seed`` and ``i`` alone.

    Args:
        scenes: Clean scenes.
        recipe: Sizes and shares of the mixture; ``frames`` and ``backprop`` are of no use here.
        seed: Seed of all randomness.
        render: Draws the water.
    """

    def __init__(
        self,
        scenes: list[Scene],
        recipe: DataRecipe,
        *,
        seed: int,
        render: Render | None = None,
    ) -> None:
        # A worker forked beside OpenCV's thread pool would wait for threads that it does not have.
        cv2.setNumThreads(0)
        self.scenes, self.recipe, self.seed = scenes, recipe, seed
        self.render = render or render_water
        rng = np.random.default_rng(seed)
        count = _LEAVES if recipe.dead_leaves > 0 else 0
        self.leaves = [Scene(name="leaves", frames=[dead_leaves(rng)]) for _ in range(count)]
        # Long videos hold more, but not in proportion: their frames resemble one another.
        weights = np.array([1.0 + np.log2(len(scene.frames)) for scene in scenes])
        self.weights = weights / weights.sum()

    def sample(self, index: int) -> dict[str, Tensor]:
        """Sample number ``index``; see :func:`wet_halves`."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        if rng.random() < recipe.dead_leaves:
            scene = self.leaves[int(rng.integers(len(self.leaves)))]
        else:
            scene = self.scenes[int(rng.choice(len(self.scenes), p=self.weights))]
        size = recipe.crop + 2 * recipe.margin
        (picture,) = sample_clip(scene, rng, size=size, length=1)
        render = None if rng.random() < recipe.dry else self.render
        return wet_halves(picture, rng, render=render, margin=recipe.margin)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield samples for ever, from number 0 on."""
        return map(self.sample, itertools.count())


def held_out_pairs(
    scenes: list[Scene],
    *,
    size: tuple[int, int] = (256, 384),
    views: int = 4,
    seed: int = 1,
    render: Render | None = None,
) -> list[dict[str, Tensor]]:
    """Samples for scoring, the same in every call: crops at full scale, ``views`` of each scene.

    Args:
        scenes: Held-out scenes, not smaller than 8×8.
        size: Height and width of the crops; smaller where a scene is, in multiples of 8.
        views: Crops of each scene.
        seed: Seed of crops and water.
        render: Draws the water.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for scene in scenes:
        for _ in range(views):
            frame = scene.frames[int(rng.integers(len(scene.frames)))]
            rows, columns = (min(s, n) // 8 * 8 for s, n in zip(size, frame.shape[:2], strict=True))
            y = int(rng.integers(frame.shape[0] - rows + 1))
            x = int(rng.integers(frame.shape[1] - columns + 1))
            picture = (frame[y : y + rows, x : x + columns] / np.float32(255)).astype(np.float32)
            samples.append(wet_halves(picture, rng, render=render or render_water))
    return samples


def render_water(scene: Float, rng: np.random.Generator) -> tuple[Float, Float]:
    """The halves of ``scene`` behind glass with random drops: what training sees by default."""
    height, width = scene.shape[:2]
    frame = render_halves(random_dual_drops(height, width, rng), scene)
    return frame.left, frame.right
