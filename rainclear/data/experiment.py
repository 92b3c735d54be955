"""What the paper's experiments train and test on: its data sets, or rain over clean pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from rainclear.config import DataRecipe
from rainclear.data.jrsrd import LEVELS, streak_rain
from rainclear.data.protocol import Pair, PairedDataset
from rainclear.data.rainy import RainyClips, mask_of_change, rain_on
from rainclear.data.readers import READERS, GeneratedClips, open_dataset
from rainclear.data.scenes import Scene, load_scenes, sample_clip
from rainclear.errors import InputError
from rainclear.rain.camera import Camera
from rainclear.rain.clip import RainParams
from rainclear.rain.mixture import random_camera, random_rain
from rainclear.video import is_image, is_video

__all__ = ["Experiment", "PairClips", "RainKind", "draw_rain", "intensity_points"]
__all__ += ["open_experiment"]

RainKind = Literal["joint", "streaks", "drops"]

_READER = {"joint": "jrsrd", "streaks": "rain100h", "drops": "raindrop"}
_HELD_OUT = 10  # every tenth file is for testing
_TEST_SIZE, _TEST_PICTURES = 256, 32
_PICTURE_HEIGHT = 480  # of the Raindrop set, which the length of the streaks goes with
_MAX_FRAMES = 60


def draw_rain(kind: RainKind, rng: np.random.Generator, camera: Camera) -> RainParams:
    """Rain as in the paper's joint set: streaks of one of four levels, and drops of any sort.

    Args:
        kind: Both together, or one of the two.
        rng: Source of all randomness.
        camera: Camera of the pictures, which the drops are seen through.
    """
    rain = RainParams()
    if kind != "drops":
        level = 1 + int(rng.integers(LEVELS))
        _, rain = streak_rain(rng, level, height=_PICTURE_HEIGHT)
    if kind != "streaks":
        while (drawn := random_rain(rng, camera)).drops is None:
            pass
        rain = replace(rain, drops=drawn.drops, optics=drawn.optics)
    return rain


class _DrawnClips(RainyClips):
    """Clean scenes under the rain of :func:`draw_rain`."""

    def __init__(
        self, scenes: list[Scene], recipe: DataRecipe, *, kind: RainKind, seed: int
    ) -> None:
        # Pictures alone: the paper has no procedural ones.
        super().__init__(scenes, recipe.model_copy(update={"dead_leaves": 0.0}), seed=seed)
        self.kind: RainKind = kind

    def sample(self, index: int) -> dict[str, Tensor]:
        recipe, rng = self.recipe, np.random.default_rng([self.seed, index])
        scene = self.scenes[int(rng.choice(len(self.scenes), p=self.weights))]
        size = recipe.crop + 2 * recipe.margin
        clip = sample_clip(scene, rng, size=size, length=recipe.frames)
        camera = random_camera(rng, size, size)
        rain, seed = draw_rain(self.kind, rng, camera), int(rng.integers(2**31))
        return rain_on(
            clip,
            rain,
            seed=seed,
            margin=recipe.margin,
            camera=camera,
            joint_mask=recipe.joint_mask,
        )


class PairClips(RainyClips):
    """Random crops of a data set's pairs, flipped at random: clips of one frame (Section 4.1).

    Args:
        pairs: The data set.
        recipe: ``crop``, ``batch`` and ``joint_mask`` are read.
        seed: Seed of all randomness.
    """

    def __init__(self, pairs: PairedDataset, recipe: DataRecipe, *, seed: int) -> None:
        IterableDataset.__init__(self)
        self.pairs, self.recipe, self.seed, self.start = pairs, recipe, seed, 0

    def sample(self, index: int) -> dict[str, Tensor]:
        """Sample number ``index``; see :func:`rainclear.data.rainy.rain_on`.

        Raises:
            InputError: The pair cannot be read, or is smaller than the crop.
        """
        rng, size = np.random.default_rng([self.seed, index]), self.recipe.crop
        pair = self.pairs[int(rng.integers(len(self.pairs)))]
        height, width = pair.rainy.shape[:2]
        if min(height, width) < size:
            raise InputError(
                f"{pair.name}: {width}×{height} is smaller than the crop of {size} pixels; "
                "set training.data.crop"
            )
        y, x = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        flip = rng.random() < 0.5

        def cut(pixels: npt.NDArray[np.uint8]) -> Tensor:
            part = pixels[y : y + size, x : x + size]
            part = part[:, ::-1] if flip else part
            part = part if part.ndim == 3 else part[..., None]
            return torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))[None]

        rainy, clean = cut(pair.rainy), cut(pair.clean)
        if self.recipe.joint_mask or pair.drop_only is None:
            streaks = drops = mask_of_change(rainy, clean)
        else:
            glass = cut(pair.drop_only)
            streaks = (
                cut(pair.streak_mask)
                if pair.streak_mask is not None
                else mask_of_change(rainy, glass)
            )
            drops = mask_of_change(glass, clean)
        return {"rainy": rainy, "clean": clean, "streaks": streaks, "drops": drops}


class _GeneratedPairs:
    """Held-out scenes under rain, as a ``PairedDataset``; pair ``i`` is always the same."""

    def __init__(self, scenes: list[Scene], kind: RainKind, seed: int) -> None:
        count = min(_TEST_PICTURES, LEVELS * len(scenes))
        self._clips = GeneratedClips(
            scenes,
            rain=partial(draw_rain, kind),
            seed=seed,
            count=count,
            length=1,
            size=_TEST_SIZE,
        )

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int, /) -> Pair:
        clip = self._clips[index]
        assert clip.drop_only and clip.streak_masks and clip.drop_masks
        return Pair(
            name=clip.name,
            rainy=clip.rainy[0],
            clean=clip.clean[0],
            drop_only=clip.drop_only[0],
            streak_mask=clip.streak_masks[0],
            drop_mask=clip.drop_masks[0],
        )


@dataclass(frozen=True)
class Experiment:
    """Data of one of the paper's experiments.

    Attributes:
        kind: Which rain.
        source: What it is, for people.
        train: Pairs to train on, or clean scenes to rain on.
        test: Pairs to score.
    """

    kind: RainKind
    source: str
    train: PairedDataset | list[Scene]
    test: PairedDataset

    def some(self, count: int | None) -> list[Pair]:
        """That many test pairs, evenly spread; all of them if ``None``."""
        everyone = range(len(self.test))
        if count is None or count >= len(everyone):
            return [self.test[i] for i in everyone]
        return [self.test[i * len(everyone) // count] for i in range(count)]

    def clips(self, recipe: DataRecipe, *, seed: int) -> RainyClips:
        """Training samples; the same seed gives the same pictures to every network.

        Args:
            recipe: Crop, batch and masks.
            seed: Seed of all randomness.
        """
        if isinstance(self.train, list):
            return _DrawnClips(self.train, recipe, kind=self.kind, seed=seed)
        return PairClips(self.train, recipe, seed=seed)


def open_experiment(root: Path, kind: RainKind, *, seed: int = 1) -> Experiment:
    """The paper's data set of that rain, if ``root`` holds it, or else rain over what it holds.

    JRSRD is joint rain, Rain100H streaks, Raindrop drops. Of a folder with clean pictures or
    videos, every tenth file is held out for testing (of up to ten, the last): at most 32 crops of
    256×256 with rain that stays the same.

    Args:
        root: Data folder.
        kind: Which rain.
        seed: Seed of the rain over the test pictures.

    Raises:
        InputError: The folder is missing, holds fewer than two pictures or videos, or a part of
            the data set is missing.
    """
    reader = _READER[kind]
    if root.is_dir() and READERS[reader](root, "train"):
        return Experiment(
            kind=kind,
            source=f"{reader}, its own split",
            train=open_dataset(reader, root, split="train"),
            test=open_dataset(reader, root, split="test"),
        )
    if not root.is_dir():
        raise InputError(f"no data folder {root}; give the folder with --data")
    files = sorted(p for p in root.rglob("*") if p.is_file() and (is_image(p) or is_video(p)))
    if len(files) < 2:
        raise InputError(
            f"{root}: is no {reader} set and holds {len(files)} pictures and videos; give the set, "
            "or at least two clean ones to rain on"
        )
    held_out = files[_HELD_OUT - 1 :: _HELD_OUT] or files[-1:]
    kept = [file for file in files if file not in held_out]

    def scenes(chosen: list[Path]) -> list[Scene]:
        escaped = [_escape(str(file.relative_to(root))) for file in chosen]
        return load_scenes(root, escaped, max_frames=_MAX_FRAMES)

    return Experiment(
        kind=kind,
        source=f"generated {kind} rain over {len(kept)} files, {len(held_out)} held out",
        train=scenes(kept),
        test=_GeneratedPairs(scenes(held_out), kind, seed),
    )


def _escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def intensity_points(
    pictures: Sequence[npt.NDArray[np.uint8]], *, seed: int = 0
) -> list[tuple[float, float]]:
    """Rain intensity against pixel difference, as Fig. 1(b) draws it.

    Every picture gets streaks of each of the joint set's four levels.

    Args:
        pictures: Clean pictures H×W×3.
        seed: Seed of the rain.

    Returns:
        For each picture and level the share of noise, 0.2..0.6, which is the joint set's measure of
        intensity, and the mean |rainy − clean| in levels 0..255.
    """
    points = []
    for number, picture in enumerate(pictures):
        for level in range(1, LEVELS + 1):
            rng = np.random.default_rng([seed, number, level])
            noise, rain = streak_rain(rng, level, height=picture.shape[0])
            clean = picture.astype(np.float32) / np.float32(255)
            made = rain_on([clean], rain, seed=int(rng.integers(2**31)))
            difference = (made["rainy"].float() - made["clean"].float()).abs().mean()
            points.append((noise, float(difference)))
    return points
