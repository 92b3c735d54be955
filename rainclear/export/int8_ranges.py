"""What values the convolutions of a network read, and the 256 steps that hold them best."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.errors import ConfigError
from rainclear.export.frames import rainy_pairs
from rainclear.nn.ensemble import RESIZING
from rainclear.nn.reparam import RepConv2d
from rainclear.runtime.backends.base import start_state
from rainclear.runtime.backends.graph import Graph
from rainclear.runtime.backends.openvino_quantise import steps_of

__all__ = [
    "RAIN",
    "Clip",
    "Samples",
    "best_range",
    "convolutions",
    "fed",
    "halves",
    "picture_ranges",
    "rained",
    "shown",
]

RAIN = ("moderate", "heavy")
"""Presets that ranges are found with, beside dry frames."""

_FLOAT = {"stem", "stem_change", "shallow", "head", "refine_image", "tail", "unveil", *RESIZING}
"""Parts of networks that stay in float: they read or give pictures, lift the veil, which decides
how bright a frame becomes, or tell it of flat parts of the picture."""

_LEAST_FRAMES = 8
_SAMPLES = 20_000  # of what a layer reads of a frame
_SHARES = tuple(0.3 + 0.05 * i for i in range(15))
"""Of the whole range of what a layer reads; beyond it values are cut off."""

Clip = list[tuple[Tensor, Tensor]]


def halves(clean: Sequence[Tensor], name: str = "the clip") -> tuple[list[Tensor], list[Tensor]]:
    """The half of a clip that tells the ranges, and the half that they are judged on.

    Raises:
        ConfigError: It is too short.
    """
    if len(clean) < _LEAST_FRAMES:
        raise ConfigError(
            f"--calibrate: {name} has {len(clean)} frames; at least {_LEAST_FRAMES} are needed"
        )
    half = len(clean) // 2
    return list(clean[:half]), list(clean[half:])


def rained(clean: Sequence[Tensor]) -> dict[str, Clip]:
    """A clip in moderate and in heavy rain and dry: (frame, clean) for each frame."""
    clips = {kind: rainy_pairs(list(clean), kind) for kind in RAIN}
    return clips | {"dry": [(frame, frame) for frame in clean]}


def convolutions(graph: nn.Module) -> list[str]:
    """Names of the convolutions in a network that is folded."""
    return [n for n, layer in graph.named_modules() if isinstance(layer, nn.Conv2d | RepConv2d)]


@contextlib.contextmanager
def shown(
    graph: nn.Module, names: Sequence[str], see: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Show what layers read, by their names, whenever the graph runs."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, given: see(name, given[0])

    hooks = [graph.get_submodule(n).register_forward_pre_hook(hook(n)) for n in names]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


class Samples:
    """Some of what each layer read; :func:`shown` hands it to :meth:`add`."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Tensor]] = {}

    def add(self, name: str, given: Tensor) -> None:
        """Take samples of what a layer read."""
        values = given.flatten()
        some = values[:: max(1, values.numel() // _SAMPLES)]
        self._seen.setdefault(name, []).append(torch.cat([some, torch.stack(values.aminmax())]))

    def ranges(self) -> dict[str, tuple[float, float]]:
        """By layer; see :func:`best_range`."""
        return {name: best_range(torch.cat(values)) for name, values in self._seen.items()}


def best_range(values: Tensor) -> tuple[float, float]:
    """Ends with the least squared error of 256 steps between them."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-6)
    best = low, high
    least = float("inf")
    for share in _SHARES:
        step, zero = steps_of(share * low, share * high)
        error = float((((values / step).round().clamp(-zero, 255 - zero) * step) - values).norm())
        if error < least:
            best, least = (share * low, share * high), error
    return best


@torch.no_grad()
def picture_ranges(graph: Graph, clips: Sequence[Clip]) -> dict[str, tuple[float, float]]:
    """The ranges of a network over pictures, by the names of its layers.

    Left out are those that read or give pictures, the veil's and depthwise ones.
    """
    names = [
        name
        for name in convolutions(graph)
        if not _FLOAT.intersection(name.split("."))
        and getattr(graph.get_submodule(name), "groups", 1) == 1
    ]
    samples = Samples()
    with shown(graph, names, samples.add):
        for clip in clips:
            fed(graph, [frame for frame, _ in clip])
    return samples.ranges()


@torch.no_grad()
def fed(graph: Graph, frames: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Inputs of each frame with the state that belongs to it, as arrays by name."""
    signature, feeds = graph.signature, []
    state = [t.clone() for t in start_state(graph.network, frames[0])]
    for frame in frames:
        inputs = [frame, *state]
        named = dict(zip(signature.outputs, graph(*inputs), strict=True))
        state = [named[source].clone() for source in signature.feedback.values()]
        arrays = [t.contiguous().numpy() for t in inputs]
        feeds.append(dict(zip(signature.inputs, arrays, strict=True)))
    return feeds
