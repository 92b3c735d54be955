"""D-DAiAM over time: what the networks of our own sizes have in common.

Dual intensity attention × two rain types × a differential-driven second stage, as in the paper
(Sec. 3.2 to 3.5), with three changes that make it fast and let it use a video:

* it works on blocks of pixels (pixel-unshuffle), with folded 3×3 convolutions;
* recursion over stages becomes recursion over frames: a gated hidden state and the previous output
  are carried in ``state``, and the second differential of Eq. 14 compares the first stage with the
  previous frame's output. Streaks move from frame to frame and drops stay, which is the cue;
* the output is the input plus a full-resolution residual, so that what is not rain is copied. (A
  sigmoid gate on the residual was tried: it closes early in training and does not open again.)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.output import Branch, Derained, Differentials, Stage
from rainclear.nn.pyramid import act
from rainclear.nn.reparam import RepConv2d, fold_reparam
from rainclear.nn.unveil import Unveil

__all__ = ["LASTS", "MEMORY", "RecurrentDDAiAM", "Remembered"]

MEMORY = 8
"""The memory is kept at an eighth of the resolution."""
LASTS = 16
"""Frames after which the encoder begins anew."""


class _FilterNet(nn.Module):
    """Soft map from a differential of two pictures (Sec. 3.5), in blocks of pixels."""

    def __init__(self, picture: int, width: int = 16) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(picture, width, 1)
        self.body = RepConv2d(width, width)
        self.expand = nn.Conv2d(width, picture, 1)

    def forward(self, differential: Tensor) -> Tensor:
        return torch.sigmoid(self.expand(act(self.body(act(self.reduce(differential))))))


class _Features(NamedTuple):
    merged: Tensor
    attentions: Tensor
    weighted: Tensor


class Remembered(NamedTuple):
    """What a frame is seen with.

    Attributes:
        previous: The picture before, N×C×H×W.
        encoder: The encoder's memory, N×``hidden``×h×w.
        veil: What is kept of the veil; no channels where none is undone.
        age: Frames that the encoder's memory is of, this one too, N×1×h×w.
    """

    previous: Tensor
    encoder: Tensor
    veil: Tensor
    age: Tensor

    def kept(self, encoder: Tensor, veil: Tensor | None) -> Tensor:
        """The memory for the next frame."""
        return torch.cat([encoder, *([] if veil is None else [veil]), self.age], 1)


class RecurrentDDAiAM(nn.Module):
    """Attention, rain types and both stages over an encoder that a subclass adds.

    A subclass builds its encoder, calls :meth:`_add_stages` and defines :meth:`_encode`. Input
    height and width must be multiples of 8.

    Args:
        block: Side of the blocks of pixels that the network works on.
        hidden: Channels of the encoder's memory that is carried across frames.
        w: Weight of the second differential in Eq. 14.
        first: A smaller network that goes before: its picture is what this one corrects, and its
            attention maps are shown to the encoder. It is an earlier stage of the heavy-to-light
            scheme (Sec. 3.5), and is folded.

    Attributes:
        details: Show all of the answer in evaluation mode too: the first stage, the branches'
            heavy and light pictures, and the maps of Eq. 14. The result stays the same.
    """

    first: "RecurrentDDAiAM | None"
    unveil: Unveil | None

    def __init__(
        self, *, block: int, hidden: int, w: float, first: "RecurrentDDAiAM | None" = None
    ) -> None:
        super().__init__()
        self.block, self.hidden, self.w = block, hidden, w
        self.details = False
        self.widen = nn.PixelShuffle(2)  # a module, so that a runtime may have it otherwise
        if first is not None:
            fold_reparam(first)
        self.first = first
        # Picture, change from the frame before; with a first network its change and both its maps.
        self._cues = (6 if first is None else 11) * block**2

    @property
    def remembered(self) -> int:
        """Channels of the memory: the encoder's, those of the veil where it is undone, the age."""
        return self.hidden + (0 if self.unveil is None else self.unveil.kept) + 1

    def recall(self, picture: Tensor, previous: Tensor, memory: Tensor) -> Remembered:
        """What a picture is seen with, given what is carried from the frame before.

        What goes from frame to frame for long leads away from what a few frames, of which a
        training has no more, tell: a scene becomes darker and darker. So after 16 frames the
        encoder forgets, and its picture before is the picture itself, as at the first. What is kept
        of the veil, which is a mean and forgets by itself, stays.

        Args:
            picture: Of four dimensions, N first.
            previous: The picture before, likewise.
            memory: N×``remembered``×h×w.
        """
        encoder, veil, age = memory.split([self.hidden, self.remembered - self.hidden - 1, 1], 1)
        keeps = (age < LASTS).to(age.dtype)
        previous = torch.where(age[:, :, :1, :1] < LASTS, previous, picture)
        return Remembered(previous, encoder * keeps, veil, age * keeps + 1)

    def train(self, mode: bool = True) -> Self:
        """Training mode; the first network stays in evaluation mode, as nothing looks inside it."""
        super().train(mode)
        if self.first is not None:
            self.first.eval()
        return self

    def _add_stages(
        self,
        channels: int,
        *,
        typed: int,
        coarse: Callable[[], nn.Module],
        refine: Callable[[], nn.Module],
        veil: bool = False,
    ) -> None:
        """Add what follows the encoder.

        Args:
            channels: Channels of the encoder's features.
            typed: Channels of each rain type; each is weighted by the attention of one pixel of
                the block, so it is a multiple of the number of those.
            coarse: Makes the body of the first stage, features in and out.
            refine: Makes the body of the second stage.
            veil: Undo the veil of far rain by an :class:`Unveil`, before both stages.
        """
        picture, pixels = 3 * self.block**2, self.block**2
        if typed % pixels:
            raise ValueError(f"{typed} channels of a rain type are no multiple of {pixels} pixels")
        self._repeats = typed // pixels
        self.attention = RepConv2d(channels, 2 * pixels)
        self.to_types = nn.Conv2d(channels, 2 * typed, 1)
        self.merge = nn.Conv2d(4 * typed, channels, 1)
        self.coarse = coarse()
        self.coarse_image = nn.Conv2d(channels, picture, 1)
        self.differential_input = _FilterNet(picture)
        self.differential_previous = _FilterNet(picture)
        self.refine_in = nn.Conv2d(picture, channels, 1)
        self.refine = refine()
        self.refine_image = RepConv2d(channels, picture)
        self.unveil = Unveil(channels, block=self.block) if veil else None
        # Read in training and for details only: the pictures of D_heavy and D_light of each rain
        # type (Eq. 6, 7).
        self.branch_image = nn.ModuleList(nn.Conv2d(typed, picture, 1) for _ in range(4))
        self._reset_heads()

    def _reset_heads(self) -> None:
        """Start as the identity, so that an untrained network does no harm."""
        for head in (self.coarse_image, *self.branch_image):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        nn.init.normal_(self.refine_image.weight, std=1e-3)

    def _encode(self, cues: Sequence[Tensor], h: Tensor) -> tuple[Tensor, Tensor]:
        """Features of what is known of the blocks, the frame first, and the new memory."""
        raise NotImplementedError

    def _attend(self, features: Tensor) -> _Features:
        """Eq. 1 to 4 for both rain types: F ⊗ S⁺ and F ⊗ S⁻, and their fusion (D_global, Eq. 8)."""
        features = act(features)
        attention = torch.sigmoid(self.attention(features))
        typed = self.to_types(features)
        spread = attention
        if self._repeats > 1:
            spread = torch.cat([s for s in attention.chunk(2, 1) for _ in range(self._repeats)], 1)
        heavy = typed * spread
        weighted = torch.cat([heavy, typed - heavy], 1)
        merged = self.coarse(self.merge(weighted))
        return _Features(merged, attention, weighted)

    def _branches(self, x: Tensor, f: _Features) -> tuple[Branch, Branch]:
        maps = F.pixel_shuffle(f.attentions, self.block)
        images: list[Tensor | None] = [None] * 4
        if self.training or self.details:
            parts = f.weighted.chunk(4, 1)  # heavy streaks, heavy drops, light streaks, light drops
            images = [
                F.pixel_shuffle(x + head(part), self.block)
                for head, part in zip(self.branch_image, parts, strict=True)
            ]
        return (
            Branch(attention=maps[:, :1], heavy=images[0], light=images[2], image=None),
            Branch(attention=maps[:, 1:], heavy=images[1], light=images[3], image=None),
        )

    def initial_state(self, x: Tensor) -> tuple[Tensor, ...]:
        """State before the first frame ``x`` (N×3×H×W): previous output = input, memory empty.

        The state of the first network, where there is one, comes behind.
        """
        n, _, height, width = x.shape
        own = x, x.new_zeros(n, self.remembered, height // MEMORY, width // MEMORY)
        return own if self.first is None else (*own, *self.first.initial_state(x))

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Derain one frame N×3×H×W (RGB, [0, 1]) given the state of the frame before it.

        Returns the picture (not clamped), the state for the next frame, and the last stage. The
        first stage and the heavy and light pictures of the branches, which nothing but the losses
        looks at, are built in training mode only, or where ``details`` is set.
        """
        previous_image, memory, *rest = self.initial_state(x) if state is None else state
        blocks = F.pixel_unshuffle(x, self.block)
        # Clamped, or one bad frame would feed on itself.
        previous = F.pixel_unshuffle(previous_image.clamp(0, 1), self.block)
        remembered = self.recall(blocks, previous, memory)
        previous = remembered.previous
        cues, begun = [blocks - 0.5, blocks - previous], blocks
        if self.first is not None:
            before: Derained = self.first(x, tuple(rest))
            begun, rest = F.pixel_unshuffle(before.image, self.block), list(before.state or ())
            assert before.streaks is not None and before.drops is not None
            maps = torch.cat([before.streaks.attention, before.drops.attention], 1)
            cues += [blocks - begun, F.pixel_unshuffle(maps, self.block)]

        features, h = self._encode(cues, remembered.encoder)
        attended = self._attend(features)
        veil = None
        if self.unveil is not None:
            added, veil = self.unveil(begun, features, attended.attentions, remembered.veil)
            begun = begun + added
        first = begun + self.coarse_image(act(attended.merged))

        a = self.differential_input(first - blocks)
        b = self.differential_previous(first - previous)
        fused = first * a + self.w * (blocks * b)  # Eq. 14
        refined = self.refine(attended.merged + self.refine_in(fused - 0.375))
        residual = self.refine_image(act(refined))
        if begun is blocks:
            image = x + F.pixel_shuffle(residual, self.block)
        else:
            image = F.pixel_shuffle(begun + residual, self.block)

        streaks, drops = self._branches(blocks, attended)
        stages = [Stage(image, streaks, drops)]
        if self.training or self.details:
            both = Differentials(F.pixel_shuffle(a, self.block), F.pixel_shuffle(b, self.block))
            stages = [
                Stage(F.pixel_shuffle(first, self.block), streaks, drops),
                Stage(image, streaks, drops, both),
            ]
        memory = remembered.kept(h, veil)
        return Derained(image=image, state=(image, memory, *rest), stages=tuple(stages))
