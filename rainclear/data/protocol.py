"""What data sets give, those on disk and generated rain alike: pairs of pictures, or clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["Clip", "ClipDataset", "DualPixelPair", "Pair", "PairedDataset", "Pixels"]

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A picture H×W×3 RGB, or a mask H×W (255 = rain), uint8."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """A rainy picture and the same scene without rain; all arrays have one height and width.

    Attributes:
        name: Unique in its data set; file name without suffix, with its folder where needed.
        rainy: H×W×3 uint8 RGB.
        clean: The truth, H×W×3.
        drop_only: The scene through the wet glass without streaks, H×W×3, where the set has it.
        streak_mask: Soft mask of the streaks, H×W, where the set has it.
        drop_mask: Mask of the drops on the glass, H×W, where the set has it.
    """

    name: str
    rainy: Pixels
    clean: Pixels
    drop_only: Pixels | None = None
    streak_mask: Pixels | None = None
    drop_mask: Pixels | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DualPixelPair(Pair):
    """A pair from a dual-pixel sensor; ``rainy`` is both halves together.

    Attributes:
        left: The rainy picture seen by the left half-pixels, H×W×3.
        right: The same by the right half-pixels.
        clean_left: The truth of the left half, where the set has it.
        clean_right: The truth of the right half, where the set has it.
    """

    left: Pixels
    right: Pixels
    clean_left: Pixels | None = None
    clean_right: Pixels | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """Consecutive frames with their truth; every sequence has the length of ``rainy``.

    A sequence may read each frame only when it is asked for (and again when asked again), so a
    long clip costs no memory; ``list(clip.rainy)`` keeps it.

    Attributes:
        name: Unique in its data set.
        rainy: Frames H×W×3 uint8 RGB.
        clean: The truth, H×W×3.
        drop_only: Frames without streaks but with drops, where the set has them.
        streak_masks: Soft masks of the streaks, H×W, where the set has them.
        drop_masks: Masks of the drops, H×W, where the set has them.
    """

    name: str
    rainy: Sequence[Pixels]
    clean: Sequence[Pixels]
    drop_only: Sequence[Pixels] | None = None
    streak_masks: Sequence[Pixels] | None = None
    drop_masks: Sequence[Pixels] | None = None

    def __len__(self) -> int:
        return len(self.rainy)


@runtime_checkable
class PairedDataset(Protocol):
    """Pairs by number, each read when it is asked for.

    ``isinstance`` sees that the methods are there, not what they return.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair:
        """Pair number ``index``.

        Raises:
            IndexError: There is no such pair.
            InputError: A file of it is missing, damaged or of another size than its partner.
        """
        ...


@runtime_checkable
class ClipDataset(Protocol):
    """Clips by number; see :class:`PairedDataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Clip:
        """Clip number ``index``; its frames may be read later still.

        Raises:
            IndexError: There is no such clip.
            InputError: A file of it is missing, damaged or of another size than its partner.
        """
        ...
