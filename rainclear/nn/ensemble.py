"""Geometric self-ensemble: one network sees a frame in several sizes and mirrored, and averages.

What a network gets wrong depends on where its blocks of pixels lie, on how large a streak is in
pixels and on the side from which it sees the scene; what it gets right does not. So the mean of
several views is nearer to the truth than any of them (Timofte et al., "Seven ways to improve
example-based single image super resolution", CVPR 2016; Lim et al., "Enhanced deep residual
networks for single image super-resolution", CVPRW 2017, there in one size), and flickers less.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.output import Derained, Stage
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.recurrent import MEMORY

__all__ = ["RESIZING", "Resize", "SelfEnsemble", "View"]

RESIZING = ("there", "back")
"""Names of the parts of a view that resize pictures."""

_REACH = 2
"""Of the cubic kernel, in pixels of the coarser picture."""


class Resize(nn.Module):
    """Pictures N×3×H×W to another size by a cubic kernel, as one convolution.

    It is bicubic interpolation (Keys, a = −1/2) that is wide enough not to alias when it makes a
    picture smaller, with the edge repeated. Height and width must be multiples of the scale's
    denominator. A convolution runs alike in every graph runtime; their own ways do not.

    Args:
        scale: Factor of both sides.
    """

    weight: Tensor

    def __init__(self, scale: Fraction) -> None:
        super().__init__()
        self.phases, self.stride = scale.numerator, scale.denominator
        taps, self.before = _taps(scale)
        self.after = taps.shape[1] - self.before - self.stride
        each = torch.einsum("ay,bx->abyx", taps, taps).flatten(0, 1)[:, None]
        self.register_buffer("weight", each.repeat(3, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Resize N×3×H×W."""
        edges = (self.before, self.after, self.before, self.after)
        padded = F.pad(x.to(self.weight.dtype), edges, mode="replicate")
        with _full_precision(x.device):
            parts = F.conv2d(padded, self.weight, stride=self.stride, groups=3)
        return F.pixel_shuffle(parts, self.phases)


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast: bfloat16 has fewer bits than a picture."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def _taps(scale: Fraction) -> tuple[Tensor, int]:
    """What each of the pixels that come of ``stride`` pixels reads: its row, and where rows begin.

    Returns:
        Weights, phases × reach, each row's sum being one; and how many of the pixels read lie
        before the first of the ``stride``.
    """
    width = max(1.0, 1 / float(scale))
    centres = [(phase + 0.5) / float(scale) - 0.5 for phase in range(scale.numerator)]
    reach = _REACH * width
    first = min(math.ceil(min(centres) - reach), 0)
    last = max(math.floor(max(centres) + reach), scale.denominator - 1)
    at = torch.arange(first, last + 1, dtype=torch.float64)
    weights = torch.stack([_cubic((at - centre) / width) for centre in centres])
    return (weights / weights.sum(1, keepdim=True)).float(), -first


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < _REACH, far, 0.0))


class View(nn.Module):
    """How a frame is seen, and what that says of the frame itself.

    Args:
        scale: Size of what is seen, as a factor of both sides: n/1, n/2 or n/4.
        mirrored: See the mirror image, left for right.
        weight: Of what it says, in the mean over all views.

    Raises:
        ValueError: The scale is another one, or it or the weight is not above 0.
    """

    def __init__(self, scale: float = 1.0, *, mirrored: bool = False, weight: float = 1.0) -> None:
        super().__init__()
        self.scale, self.mirrored, self.weight = Fraction(scale), mirrored, weight
        if scale <= 0 or weight <= 0 or self.scale.denominator > 4:
            raise ValueError(
                f"a view of scale {scale} and weight {weight}: scales are n/1, n/2 or n/4, and "
                "both are above 0"
            )
        other = self.scale != 1
        self.there = Resize(self.scale) if other else nn.Identity()
        self.back = Resize(1 / self.scale) if other else nn.Identity()

    def size(self, frame: Sequence[int]) -> tuple[int, int]:
        """Height and width of what is seen of a frame of such a size, its edge not yet repeated."""
        height, width = (n * self.scale.numerator // self.scale.denominator for n in frame)
        return height, width

    def seen(self, x: Tensor) -> Tensor:
        """What the network gets of N×3×H×W in [0, 1]."""
        resized = self.there(x)
        return self.turned(resized if self.scale == 1 else resized.clamp(0, 1))  # it overshoots

    def turned(self, resized: Tensor) -> Tensor:
        """The edge repeated to multiples of 8, which the network needs, and mirrored."""
        if self.scale != 1:
            height, width = resized.shape[2:]
            resized = _repeated(resized, -height % MEMORY, -width % MEMORY)
        return resized.flip(3) if self.mirrored else resized

    def change(self, image: Tensor, seen: Tensor, size: Sequence[int]) -> Tensor:
        """What the network's ``image`` of ``seen`` adds to the frame of ``size``, N×3×H×W.

        Only the change is brought to the frame's size: what is not rain stays as sharp as it is.
        """
        added = image - seen
        if self.mirrored:
            added = added.flip(3)
        height, width = self.size(size)
        changed: Tensor = self.back(added[..., :height, :width])
        return changed


class SelfEnsemble(nn.Module):
    """``d-daiam-s``: ``d-daiam-rt`` on several views of each frame, each with a memory of its own.

    Attributes:
        network: What looks.
        views: The views.

    Args:
        views: Options of each :class:`View`. The first is the frame as it is; its attention maps
            and stages are what is shown.
        network: Options of the :class:`rainclear.nn.realtime.RealtimeDDAiAM` that looks.

    Input height and width must be multiples of 8. Weights of the network alone are weights of this.

    Raises:
        ValueError: A view is none, or the first is not the frame as it is.
    """

    def __init__(
        self,
        *,
        views: Sequence[Mapping[str, Any]] = (
            {},
            {"scale": 1.5, "mirrored": True},
            {"scale": 0.75, "weight": 0.5},
        ),
        network: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = RealtimeDDAiAM(**(network or {}))
        self.register_load_state_dict_pre_hook(_of_the_network)
        self.views = [View(**view) for view in views]
        if not self.views or self.views[0].scale != 1 or self.views[0].mirrored:
            raise ValueError(f"views {list(views)}: the first must be the frame as it is")
        self._views = nn.ModuleList(self.views)  # that they move with it
        total = sum(view.weight for view in self.views)
        self.weights = tuple(view.weight / total for view in self.views)

    def initial_state(self, x: Tensor) -> tuple[Tensor, ...]:
        """State before the first frame ``x`` (N×3×H×W): previous output = input, memories empty."""
        return x, *(self.network.initial_state(view.seen(x))[1] for view in self.views)

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Derain one frame N×3×H×W (RGB, [0, 1]) given the state of the frame before it.

        Returns the picture (not clamped), the state for the next frame, and the stages of the
        first view, but for the last one's picture.
        """
        previous, *memories = self.initial_state(x) if state is None else state
        previous = previous.clamp(0, 1)
        image, kept = x, []
        stages: tuple[Stage, ...] = ()
        for view, weight, memory in zip(self.views, self.weights, memories, strict=True):
            seen = view.seen(x)
            found: Derained = self.network(seen, (view.seen(previous), memory))
            assert found.state is not None
            image = image + weight * view.change(found.image, seen, x.shape[2:])
            kept.append(found.state[1])
            stages = stages or found.stages
        stages = (*stages[:-1], stages[-1]._replace(image=image))
        return Derained(image=image, state=(image, *kept), stages=stages)


def _of_the_network(
    _: nn.Module, state: dict[str, Any], prefix: str, *__: object, **___: object
) -> None:
    """Let weights of the network alone be loaded."""
    own = f"{prefix}network."
    if not any(name.startswith(own) for name in state):
        for name in [name for name in state if name.startswith(prefix)]:
            state[own + name.removeprefix(prefix)] = state.pop(name)


def _repeated(x: Tensor, below: int, right: int) -> Tensor:
    """With the last row and column repeated."""
    if x.dtype != torch.uint8:
        return F.pad(x, (0, right, 0, below), mode="replicate")
    x = torch.cat([x, x[:, :, -1:].expand(-1, -1, below, -1)], 2)  # F.pad takes no bytes
    return torch.cat([x, x[..., -1:].expand(-1, -1, -1, right)], 3)
