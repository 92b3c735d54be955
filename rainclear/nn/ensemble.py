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
    """How a frame is seen in one size, plain and mirrored, and what that says of the frame itself.

    Args:
        scale: Size of what is seen, as a factor of both sides.
        mirrored: See the mirror image too.
    """

    def __init__(self, scale: Fraction, *, mirrored: bool) -> None:
        super().__init__()
        self.scale, self.mirrored = scale, mirrored
        other = scale != 1
        self.there = Resize(scale) if other else nn.Identity()
        self.back = Resize(1 / scale) if other else nn.Identity()

    def size(self, frame: Sequence[int]) -> tuple[int, int]:
        """Height and width of what is seen of a frame of such a size, its edge not yet repeated."""
        height, width = (n * self.scale.numerator // self.scale.denominator for n in frame)
        return height, width

    def seen(self, x: Tensor) -> Tensor:
        """What the network gets of N×3×H×W: (N or 2N)×3×h×w in [0, 1], mirrored ones behind."""
        plain = self.there(x)
        return self.both(plain if self.scale == 1 else plain.clamp(0, 1))  # cubic: it overshoots

    def both(self, plain: Tensor) -> Tensor:
        """With the mirrored ones, the edge repeated to multiples of 8, which the network needs."""
        if self.scale != 1:
            height, width = plain.shape[2:]
            plain = _repeated(plain, -height % MEMORY, -width % MEMORY)
        return torch.cat([plain, plain.flip(3)]) if self.mirrored else plain

    def change(self, image: Tensor, seen: Tensor, size: Sequence[int]) -> Tensor:
        """What the network's ``image`` of ``seen`` adds to the frame of ``size``, N×3×H×W.

        Only the change is brought to the frame's size: what is not rain stays as sharp as it is.
        """
        added = image - seen
        if self.mirrored:
            plain, mirrored = added.chunk(2)
            added = (plain + mirrored.flip(3)) / 2
        height, width = self.size(size)
        changed: Tensor = self.back(added[..., :height, :width])
        return changed


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


class SelfEnsemble(nn.Module):
    """``d-daiam-s``: ``d-daiam-rt`` on several views of each frame, each with a memory of its own.

    Attributes:
        network: What looks.
        views: The views, one for each size.

    Args:
        scales: Sizes that it sees, as factors; the first is 1, whose attention maps are shown.
        mirrored: See each size mirrored too.
        network: Options of the :class:`rainclear.nn.realtime.RealtimeDDAiAM` that looks.

    Input height and width must be multiples of 8. Weights of the network alone are weights of this.

    Raises:
        ValueError: A scale is none of n/1, n/2 and n/4, or the first is not 1.
    """

    def __init__(
        self,
        *,
        scales: Sequence[float] = (1.0, 1.5, 0.75),
        mirrored: bool = True,
        network: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        exact = [Fraction(scale) for scale in scales]
        if not exact or exact[0] != 1 or any(s <= 0 or s.denominator > 4 for s in exact):
            raise ValueError(f"scales {list(scales)}: the first must be 1, others n/1, n/2 or n/4")
        self.mirrored = mirrored
        self.network = RealtimeDDAiAM(**(network or {}))
        self.register_load_state_dict_pre_hook(_of_the_network)
        self.views = [View(scale, mirrored=mirrored) for scale in exact]
        self._views = nn.ModuleList(self.views)  # that they move with it

    def initial_state(self, x: Tensor) -> tuple[Tensor, ...]:
        """State before the first frame ``x`` (N×3×H×W): previous output = input, memories empty.

        There is one memory for each size, of twice as many channels where it is mirrored.
        """
        return x, *(self.folded(self.network.initial_state(v.seen(x))[1]) for v in self.views)

    def folded(self, memory: Tensor) -> Tensor:
        """Memory of plain and mirrored pictures, 2N×C, as N×2C: a batch of frames stays one."""
        return torch.cat(memory.chunk(2), 1) if self.mirrored else memory

    def unfolded(self, memory: Tensor) -> Tensor:
        """As the network has it, 2N×C."""
        return torch.cat(memory.chunk(2, 1)) if self.mirrored else memory

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Derain one frame N×3×H×W (RGB, [0, 1]) given the state of the frame before it.

        Returns the picture (not clamped), the state for the next frame, and the stages of the
        first view, but for the last one's picture.
        """
        previous, *memories = self.initial_state(x) if state is None else state
        previous = previous.clamp(0, 1)
        changes: list[Tensor] = []
        kept: list[Tensor] = []
        stages: tuple[Stage, ...] = ()
        for view, memory in zip(self.views, memories, strict=True):
            seen = view.seen(x)
            found: Derained = self.network(seen, (view.seen(previous), self.unfolded(memory)))
            assert found.state is not None
            changes.append(view.change(found.image, seen, x.shape[2:]))
            kept.append(self.folded(found.state[1]))
            stages = stages or found.stages
        image = x + sum(changes[1:], changes[0]) / len(changes)
        plain = [stage.of(slice(len(x))) for stage in stages]
        plain[-1] = plain[-1]._replace(image=image)
        return Derained(image=image, state=(image, *kept), stages=tuple(plain))
