"""Scores a network while it trains: held-out clips under fixed rain, and the same clips dry."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from rainclear.config import DataRecipe
from rainclear.data.rainy import rain_on
from rainclear.data.scenes import Scene
from rainclear.rain.camera import Camera
from rainclear.rain.presets import preset

__all__ = ["Validation"]

_HEIGHT, _WIDTH = 256, 384
_KINDS = ("moderate", "heavy", "storm", "windshield", "rain100h", "jrsrd")
_VIEWS = 2
_SHOWN = "moderate"


def _psnr(output: Tensor, truth: Tensor) -> float:
    output = output.clamp(0, 1).mul(255).round().div(255)
    error = float((output - truth).square().mean())
    return float(10 * np.log10(1.0 / max(error, 1e-8)))


def _view(scene: Scene, kind: str, length: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """A window of a random clip of the scene, under the rain of the whole frame."""
    height, width = scene.frames[0].shape[:2]
    y = int(rng.integers(max(1, height - _HEIGHT)))
    x = int(rng.integers(max(1, width - _WIDTH)))
    first = int(rng.integers(max(1, len(scene.frames) - length)))
    clip = [
        (f[y : y + _HEIGHT, x : x + _WIDTH] / np.float32(255)).astype(np.float32)
        for f in scene.frames[first : first + length]
    ]
    clip = [f[: f.shape[0] // 8 * 8, : f.shape[1] // 8 * 8] for f in clip]
    seed = int(rng.integers(2**31))
    if kind == "dry":
        return rain_on(clip, None, seed=seed)
    rows, columns = clip[0].shape[:2]
    params = preset(kind, height=height)
    camera = Camera.of(params.optics, height, width).crop(x, y, columns, rows)
    horizon, span = (params.horizon - y / height) * height / rows, rows / height
    return rain_on(clip, replace(params, horizon=horizon, span=span), seed=seed, camera=camera)


class Validation:
    """Mean PSNR in dB over clips of the held-out scenes, the same in every call.

    Each kind of rain falls on two windows of every scene.

    Args:
        scenes: Held-out scenes.
        recipe: Gives the length of the clips.
        seed: Seed of crops and rain.
    """

    def __init__(self, scenes: list[Scene], recipe: DataRecipe, *, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.samples: list[tuple[str, dict[str, Tensor]]] = []
        for scene in scenes:
            for kind in (*_KINDS, "dry"):
                for _ in range(_VIEWS):
                    self.samples.append((kind, _view(scene, kind, recipe.frames, rng)))

    @property
    def example(self) -> dict[str, Tensor] | None:
        """A clip with streaks and drops, or ``None`` without scenes."""
        return next((sample for kind, sample in self.samples if kind == _SHOWN), None)

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> dict[str, float]:
        """``input_<kind>`` and ``output_<kind>`` PSNR by kind of rain, their mean gain ``gain``,
        ``dry`` (output against dry input), ``temporal`` (temporal error, as a share of the rainy
        clips'), and ``score``: the gain, less what dry frames lose below 45 dB.
        """  # noqa: D205
        network.eval()
        parameter = next(network.parameters(), None)
        device = torch.device("cpu") if parameter is None else parameter.device
        collected: dict[str, list[float]] = {}
        for kind, sample in self.samples:
            rainy, clean = (sample[k].to(device).float() / 255 for k in ("rainy", "clean"))
            state: tuple[Tensor, ...] | None = None
            output = torch.empty_like(rainy)
            for t in range(rainy.shape[0]):
                out = network(rainy[t : t + 1], state)
                state, output[t] = out.state, out.image[0].clamp(0, 1)
            for side, clip in (("input", rainy), ("output", output)):
                values = [_psnr(a, b) for a, b in zip(clip, clean, strict=True)]
                collected.setdefault(f"{side}_{kind}", []).extend(values)
                if kind != "dry" and len(clip) > 1:
                    flicker = float((clip.diff(dim=0) - clean.diff(dim=0)).abs().mean())
                    collected.setdefault(f"{side}_flicker", []).append(flicker)
        scores = {name: float(np.mean(values)) for name, values in collected.items()}
        scores["gain"] = float(
            np.mean([scores[f"output_{k}"] - scores[f"input_{k}"] for k in _KINDS])
        )
        before, after = scores.pop("input_flicker", 0.0), scores.pop("output_flicker", 0.0)
        if before:
            scores["temporal"] = after / before
        scores["dry"] = scores.pop("output_dry")
        scores.pop("input_dry")
        scores["score"] = scores["gain"] - max(0.0, 45.0 - scores["dry"])
        return scores
