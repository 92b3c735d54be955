"""What the veil is found from, cell by cell, collected on whole frames of the recipe's scenes."""

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.data.rainy import RainyClips, rain_on
from rainclear.data.scenes import View, sample_frames
from rainclear.errors import ConfigError
from rainclear.nn.output import Derained
from rainclear.nn.unveil import Unveil
from rainclear.rain.camera import Camera
from rainclear.rain.clip import RainParams
from rainclear.rain.mixture import random_camera, random_rain, random_weather

__all__ = ["CellSample", "WholeFrames", "collect", "unveil_of"]

_BLOCK = 8
"""Side in pixels of the blocks that pictures are kept as the means of."""
_LONG = 0.8
"""Share of the clips that are of full length."""
_FLOOR, _DRY_FLOOR = 2e-4, 5e-5
"""Mean squared errors below which a frame counts less: in rain, and where it is dry."""


def unveil_of(network: nn.Module) -> Unveil:
    """The part of a network that finds the veil.

    Raises:
        ConfigError: It has none.
    """
    unveil = getattr(network, "unveil", None)
    if not isinstance(unveil, Unveil):
        raise ConfigError(
            "training.unveil: the network has no part that finds the veil; set "
            "architecture.options.veil to true, or training.unveil.rounds to 0"
        )
    return unveil


class WholeFrames:
    """Rained-on clips of whole frames; sample ``i`` depends on the seed and ``i`` alone.

    Args:
        clips: Gives the scenes, how often each is drawn, the shares of dry clips and of weather,
            and the seed.
        frames: Frames of the longer clips; the others have a third.
    """

    def __init__(self, clips: RainyClips, frames: int) -> None:
        self.clips, self.frames = clips, frames

    def sample(self, index: int) -> dict[str, Tensor]:
        """Clip number ``index``: ``rainy``, ``clean`` (T×3×H×W uint8) and ``dry`` (a boolean)."""
        rng = np.random.default_rng([self.clips.seed, index])
        scene = self.clips.scenes[int(rng.choice(len(self.clips.scenes), p=self.clips.weights))]
        length = self.frames if rng.random() < _LONG else max(1, self.frames // 3)
        clip, view = sample_frames(scene, rng, length=length)
        params, camera = self._rain(view, rng, *clip[0].shape[:2])
        rained = rain_on(clip, params, seed=int(rng.integers(2**31)), camera=camera)
        dry = torch.tensor(params is None)
        return {"rainy": rained["rainy"], "clean": rained["clean"], "dry": dry}

    def _rain(
        self, view: View, rng: np.random.Generator, height: int, width: int
    ) -> tuple[RainParams | None, Camera | None]:
        """The mixture of :class:`RainyClips`, for pictures that are no square windows."""
        if rng.random() < self.clips.recipe.dry:
            return None, None
        if rng.random() >= self.clips.recipe.weather:
            camera = random_camera(rng, height, width)
            return random_rain(rng, camera), camera
        params = random_weather(rng)
        exposure, aperture = np.exp(rng.uniform(np.log([0.002, 0.001]), np.log([0.012, 0.004])))
        optics = replace(params.optics, exposure=float(exposure), aperture=float(aperture))
        horizon = (float(rng.normal(0.45, 0.06)) - view.top) / view.height
        return replace(params, horizon=horizon, span=view.height, optics=optics), None


class CellSample(NamedTuple):
    """A frame as far as the veil is concerned; float16, h and w counting cells.

    Attributes:
        cells: What gain and offset are found from, C×h×w.
        picture: Means over blocks of 8 pixels of the picture that the veil is taken off, 3×H×W.
        error: Those of the result, less what taking off the veil added, less those of the scene.
        within: Mean squared error of the result inside the blocks, which the veil has no part in.
        left: Mean squared error of the result.
        rained: Mean squared error of the input.
        dry: It does not rain.
    """

    cells: Tensor
    picture: Tensor
    error: Tensor
    within: float
    left: float
    rained: float
    dry: bool

    @property
    def floor(self) -> float:
        """Added to both errors wherever they are compared."""
        return _DRY_FLOOR if self.dry else _FLOOR

    @property
    def log_left(self) -> float:
        """Logarithm of the error that is left over the error that there was."""
        return math.log((self.left + self.floor) / (self.rained + self.floor))


def collect(
    network: nn.Module, clips: Iterable[dict[str, Tensor]], *, bf16: bool = False
) -> Iterator[list[CellSample]]:
    """Run a network through clips; of each, samples of frames 1, 3, 6, 10, … and of the last.

    Args:
        network: In evaluation mode, on any device.
        clips: As of :class:`WholeFrames`, in batches of one (1×T×3×H×W); height and width are
            multiples of the side of a cell.
        bf16: Number format of the convolutions.

    Raises:
        ConfigError: The network has no :class:`Unveil`.
    """
    unveil = unveil_of(network)
    device = next(unveil.parameters()).device
    seen: dict[str, Tensor] = {}

    def read(module: nn.Module, given: tuple[Any, ...]) -> None:
        seen["cells"] = given[0]

    def undone(module: nn.Module, given: tuple[Any, ...], found: tuple[Tensor, Tensor]) -> None:
        seen["picture"], seen["added"] = given[0], found[0]

    with ExitStack() as stack:
        stack.callback(unveil.read.register_forward_pre_hook(read).remove)
        stack.callback(unveil.register_forward_hook(undone).remove)
        for clip in clips:
            rainy, clean = clip["rainy"][0], clip["clean"][0]
            state: tuple[Tensor, ...] | None = None
            samples = []
            for t in range(len(rainy)):
                x = _picture(rainy[t], device)
                with torch.inference_mode(), torch.autocast(x.device.type, torch.bfloat16, bf16):
                    out: Derained = network(x, state)
                state = out.state
                if _triangular(t + 1) or t + 1 == len(rainy):
                    truth = _picture(clean[t], device)
                    samples.append(_sample(unveil, seen, x, out.image, truth, bool(clip["dry"])))
            yield samples


def _triangular(n: int) -> bool:
    """Whether n = 1 + 2 + … + k, with which 8·n + 1 = (2·k + 1)²."""
    return math.isqrt(8 * n + 1) ** 2 == 8 * n + 1


def _picture(frame: Tensor, device: torch.device) -> Tensor:
    picture = frame[None].to(device).float() / 255
    return picture.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _sample(
    unveil: Unveil, seen: dict[str, Tensor], x: Tensor, image: Tensor, truth: Tensor, dry: bool
) -> CellSample:
    def blocks(name: str) -> Tensor:
        mean = seen[name].float().unflatten(1, (3, -1)).mean(2)
        return F.avg_pool2d(mean, _BLOCK // unveil.block)

    def kept(values: Tensor) -> Tensor:
        return values[0].half().cpu()

    result = image.float().clamp(0, 1)
    wrong = F.avg_pool2d(result - truth, _BLOCK)
    left = float((result - truth).square().mean())
    return CellSample(
        cells=kept(seen["cells"].float()),
        picture=kept(blocks("picture")),
        error=kept(wrong - blocks("added")),
        within=max(0.0, left - float(wrong.square().mean())),
        left=left,
        rained=float((x - truth).square().mean()),
        dry=dry,
    )
