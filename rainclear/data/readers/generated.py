"""Generated rain behind the protocol of the data sets."""

from collections.abc import Callable, Sequence

import numpy as np

from rainclear.data.protocol import Clip, Pixels
from rainclear.data.scenes import Scene, sample_clip
from rainclear.errors import InputError
from rainclear.rain.camera import Camera
from rainclear.rain.clip import RainClip, RainParams
from rainclear.rain.mixture import random_camera, random_rain
from rainclear.rain.streaks import Float

__all__ = ["GeneratedClips"]


def _bytes(picture: Float) -> Pixels:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


class GeneratedClips:
    """Clean scenes with generated rain, as a ``ClipDataset``; clip ``i`` is always the same.

    Args:
        scenes: Clean scenes, used in turn.
        rain: The rain of every clip, or what draws it; by default the mixture of training.
        seed: Seed of all randomness.
        count: Number of clips; one a scene by default.
        length: Frames of a clip; a scene with fewer gives all it has, except with ``size``.
        size: Side of random square crops, with the augmentations of training (a picture is panned
            over). Without it frames are taken as they stand.

    Raises:
        InputError: There is no scene.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        rain: RainParams | Callable[[np.random.Generator, Camera], RainParams] = random_rain,
        seed: int = 0,
        count: int | None = None,
        length: int = 8,
        size: int | None = None,
    ) -> None:
        if not scenes:
            raise InputError("no clean scene to rain on")
        self.scenes, self.rain, self.seed = list(scenes), rain, seed
        self.length, self.size = length, size
        self._count = len(self.scenes) if count is None else count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Clip:
        number = range(self._count)[index]
        rng = np.random.default_rng([self.seed, number])
        scene = self.scenes[number % len(self.scenes)]
        frames = self._frames(scene, rng)
        height, width = frames[0].shape[:2]
        camera = None
        if isinstance(self.rain, RainParams):
            params = self.rain
        else:
            camera = random_camera(rng, height, width)
            params = self.rain(rng, camera)
        seed = int(rng.integers(2**31))
        rain = RainClip(params, height, width, seed=seed, camera=camera)
        made = [rain(frame) for frame in frames]
        return Clip(
            name=f"{scene.name}#{number}",
            rainy=[_bytes(frame.rainy) for frame in made],
            clean=[_bytes(frame.clean) for frame in made],
            drop_only=[_bytes(frame.drop_only) for frame in made],
            streak_masks=[_bytes(frame.streak_mask) for frame in made],
            drop_masks=[_bytes(frame.drop_mask) for frame in made],
        )

    def _frames(self, scene: Scene, rng: np.random.Generator) -> list[Float]:
        if self.size is not None:
            return sample_clip(scene, rng, size=self.size, length=self.length)
        first = int(rng.integers(max(1, len(scene.frames) - self.length + 1)))
        chosen = scene.frames[first : first + self.length]
        return [frame.astype(np.float32) / np.float32(255) for frame in chosen]
