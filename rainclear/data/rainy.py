"""Training samples: clean clips with generated rain, made as they are read."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from rainclear.config import DataRecipe
from rainclear.data.deadleaves import dead_leaves
from rainclear.data.scenes import Scene, View, sample_view
from rainclear.rain.camera import Camera
from rainclear.rain.clip import MASK_FULL_SCALE, RainClip, RainParams
from rainclear.rain.mixture import random_camera, random_rain, random_weather, road_camera

__all__ = ["RainyClips", "mask_of_change", "rain_on"]

_LEAVES = 96
_LEVEL = 0.7
"""Share of the clips whose veil has its horizon where street scenes have theirs."""


def _tensor(pictures: list[npt.NDArray[np.float32]]) -> Tensor:
    """T×C×H×W uint8 from pictures H×W×C or masks H×W in [0, 1]: rounded, as a camera would."""
    stack = np.stack([p if p.ndim == 3 else p[..., None] for p in pictures])
    stack = np.rint(np.clip(stack, 0, 1) * 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(stack.transpose(0, 3, 1, 2)))


def mask_of_change(rainy: Tensor, clean: Tensor) -> Tensor:
    """Soft mask of the rain between two clips, T×1×H×W uint8, from uint8 pictures T×3×H×W."""
    difference = (rainy.float() - clean.float()).abs().mean(1, keepdim=True)
    return (difference / MASK_FULL_SCALE).clamp(0, 255).round().to(torch.uint8)


def rain_on(
    clip: list[npt.NDArray[np.float32]],
    params: RainParams | None,
    *,
    seed: int,
    margin: int = 0,
    camera: Camera | None = None,
    joint_mask: bool = False,
) -> dict[str, Tensor]:
    """Rain on a clip of pictures H×W×3 in [0, 1]; ``None`` leaves it dry.

    ``camera`` is that of the pictures where they are crops; see :class:`RainClip`. With
    ``joint_mask`` both masks are that of all rain.

    Returns:
        ``rainy``, ``clean`` (T×3×h×w) and ``streaks``, ``drops`` (soft masks, T×1×h×w), uint8, with
        ``margin`` pixels cut off on every side.
    """
    height, width = clip[0].shape[:2]
    inner = np.s_[margin : height - margin, margin : width - margin]
    if params is None:
        clean = _tensor([picture[inner] for picture in clip])
        none = torch.zeros_like(clean[:, :1])
        return {"rainy": clean, "clean": clean, "streaks": none, "drops": none}
    rain = RainClip(params, height, width, seed=seed, camera=camera)
    frames = [rain(picture) for picture in clip]
    rainy = _tensor([f.rainy[inner] for f in frames])
    clean = _tensor([f.clean[inner] for f in frames])
    if joint_mask:
        mask = mask_of_change(rainy, clean)
        return {"rainy": rainy, "clean": clean, "streaks": mask, "drops": mask}
    return {
        "rainy": rainy,
        "clean": clean,
        "streaks": _tensor([f.streak_mask[inner] for f in frames]),
        "drops": _tensor([f.drop_mask[inner] for f in frames]),
    }


def _on_the_road(params: RainParams, view: View, rng: np.random.Generator) -> RainParams:
    """The rain with its horizon near the middle of the frame that the view is a part of."""
    horizon = float(rng.normal(0.45, 0.06))
    return replace(params, horizon=(horizon - view.top) / view.height, span=view.height)


class RainyClips(IterableDataset[dict[str, Tensor]]):
    """An endless stream of rained-on clips; sample ``i`` depends on ``seed`` and ``i`` alone.

    Args:
        scenes: Clean scenes.
        recipe: Sizes and shares of the mixture.
        seed: Seed of all randomness.
        start: Index of the first sample, to go on where a run stopped.
    """

    def __init__(
        self, scenes: list[Scene], recipe: DataRecipe, *, seed: int, start: int = 0
    ) -> None:
        super().__init__()
        # A worker forked beside OpenCV's thread pool would wait for threads that it does not have.
        cv2.setNumThreads(0)
        self.scenes, self.recipe, self.seed, self.start = scenes, recipe, seed, start
        rng = np.random.default_rng(seed)
        count = _LEAVES if recipe.dead_leaves > 0 else 0
        self.leaves = [Scene(name="leaves", frames=[dead_leaves(rng)]) for _ in range(count)]
        # Long videos hold more, but not in proportion: their frames resemble one another.
        weights = np.array([1.0 + np.log2(len(scene.frames)) for scene in scenes])
        self.weights = weights / weights.sum()

    def sample(self, index: int) -> dict[str, Tensor]:
        """Sample number ``index``; see :func:`rain_on`."""
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        if rng.random() < recipe.dead_leaves:
            scene = self.leaves[int(rng.integers(len(self.leaves)))]
        else:
            scene = self.scenes[int(rng.choice(len(self.scenes), p=self.weights))]
        size = recipe.crop + 2 * recipe.margin
        clip, view = sample_view(scene, rng, size=size, length=recipe.frames)
        params, camera = self._rain(view, rng, size)
        seed = int(rng.integers(2**31))
        return rain_on(
            clip,
            params,
            seed=seed,
            margin=recipe.margin,
            camera=camera,
            joint_mask=recipe.joint_mask,
        )

    def _rain(
        self, view: View, rng: np.random.Generator, size: int
    ) -> tuple[RainParams | None, Camera]:
        draw = rng.random()
        if draw >= self.recipe.dry and rng.random() < self.recipe.weather:
            camera = road_camera(rng, size, top=view.top, share=view.height)
            return _on_the_road(random_weather(rng), view, rng), camera
        camera = random_camera(rng, size, size)
        if draw < self.recipe.dry:
            return None, camera
        params = random_rain(rng, camera)
        if rng.random() < _LEVEL:
            params = _on_the_road(params, view, rng)
        return params, camera

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield samples for ever; worker ``k`` of ``n`` makes every n-th batch.

        The loader takes batches from the workers in turn, so it gives the same ones however many
        there are, and a run that goes on sees those that were left.
        """
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        batch = self.recipe.batch
        for first in itertools.count(self.start + number * batch, workers * batch):
            for index in range(first, first + batch):
                yield self.sample(index)
