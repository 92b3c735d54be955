"""The files of one pair or clip, and data sets made of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

import numpy as np

from rainclear.data.protocol import Clip, DualPixelPair, Pair, Pixels
from rainclear.data.readers.files import read_mask, read_rgb, same_size
from rainclear.errors import InputError

__all__ = ["ClipFiles", "DualPixelFiles", "FileDataset", "Frames", "Halves", "PairFiles", "Source"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """Where one sample comes from."""

    @property
    def name(self) -> str:
        """Name of the sample."""
        ...

    def read(self) -> T_co:
        """Read the sample."""
        ...


class FileDataset(Generic[T]):
    """A data set whose samples are read when asked for; ``PairedDataset`` or ``ClipDataset``.

    Args:
        sources: Where the samples come from, in order.
    """

    def __init__(self, sources: Sequence[Source[T]]) -> None:
        self._sources = tuple(sources)

    @property
    def names(self) -> list[str]:
        """Names of all samples, without reading them."""
        return [source.name for source in self._sources]

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int, /) -> T:
        return self._sources[index].read()

    def __iter__(self) -> Iterator[T]:
        """Read one sample after the other."""
        return (source.read() for source in self._sources)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairFiles:
    """A pair in a file each; the optional ones are those of :class:`Pair`."""

    name: str
    rainy: Path
    clean: Path
    drop_only: Path | None = None
    streak_mask: Path | None = None
    drop_mask: Path | None = None

    def read(self) -> Pair:
        """Read all files.

        Raises:
            InputError: One is missing, damaged or of another size.
        """
        rainy = read_rgb(self.rainy)

        def partner(path: Path | None, read: Callable[[Path], Pixels]) -> Pixels | None:
            return same_size(read(path), path, rainy.shape, self.rainy) if path else None

        return Pair(
            name=self.name,
            rainy=rainy,
            clean=same_size(read_rgb(self.clean), self.clean, rainy.shape, self.rainy),
            drop_only=partner(self.drop_only, read_rgb),
            streak_mask=partner(self.streak_mask, read_mask),
            drop_mask=partner(self.drop_mask, read_mask),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Halves:
    """A pair side by side in one file."""

    name: str
    path: Path
    rainy_left: bool

    def read(self) -> Pair:
        """Read the file and cut it in two.

        Raises:
            InputError: It is missing or damaged, or its width is odd.
        """
        both = read_rgb(self.path)
        width = both.shape[1]
        if width % 2:
            raise InputError(
                f"{self.path}: is {width} pixels wide; two pictures side by side have an even width"
            )
        left, right = (np.ascontiguousarray(half) for half in np.split(both, 2, axis=1))
        rainy, clean = (left, right) if self.rainy_left else (right, left)
        return Pair(name=self.name, rainy=rainy, clean=clean)


@dataclass(frozen=True, kw_only=True, slots=True)
class DualPixelFiles:
    """A dual-pixel pair; without ``rainy`` it is the mean of the halves."""

    name: str
    left: Path
    right: Path
    clean: Path
    rainy: Path | None = None
    clean_left: Path | None = None
    clean_right: Path | None = None
    drop_mask: Path | None = None

    def read(self) -> DualPixelPair:
        """Read all files.

        Raises:
            InputError: One is missing, damaged or of another size.
        """
        left = read_rgb(self.left)

        def partner(path: Path, read: Callable[[Path], Pixels] = read_rgb) -> Pixels:
            return same_size(read(path), path, left.shape, self.left)

        right = partner(self.right)
        mean = ((left.astype(np.uint16) + right + 1) // 2).astype(np.uint8)
        return DualPixelPair(
            name=self.name,
            rainy=partner(self.rainy) if self.rainy else mean,
            clean=partner(self.clean),
            drop_mask=partner(self.drop_mask, read_mask) if self.drop_mask else None,
            left=left,
            right=right,
            clean_left=partner(self.clean_left) if self.clean_left else None,
            clean_right=partner(self.clean_right) if self.clean_right else None,
        )


class Frames(Sequence[Pixels]):
    """Frames in a file each, read when asked for.

    Args:
        paths: The files in order.
        read: Reads one.
        size: Height and width that each must have.
        partner: The file that has this size; for messages.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[Path], Pixels],
        size: Sequence[int],
        partner: Path,
    ) -> None:
        self._paths, self._read, self._size, self._partner = tuple(paths), read, size, partner

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...

    @overload
    def __getitem__(self, index: slice) -> "Frames": ...

    def __getitem__(self, index: int | slice) -> "Pixels | Frames":
        if isinstance(index, slice):
            return Frames(self._paths[index], self._read, self._size, self._partner)
        path = self._paths[index]
        return same_size(self._read(path), path, self._size, self._partner)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFiles:
    """A clip with a file a frame; all sequences are of one length."""

    name: str
    rainy: tuple[Path, ...]
    clean: tuple[Path, ...]
    drop_only: tuple[Path, ...] | None = None
    streak_masks: tuple[Path, ...] | None = None
    drop_masks: tuple[Path, ...] | None = None
    inverted: bool = False
    """Whether the drop masks are dark where the drops are."""

    def read(self) -> Clip:
        """Read the first frame, for the size; the others are read when the clip is used.

        Raises:
            InputError: The first frame is missing or damaged.
        """
        first = self.rainy[0]
        size = read_rgb(first).shape

        def frames(paths: tuple[Path, ...] | None, read: Callable[[Path], Pixels]) -> Frames | None:
            return None if paths is None else Frames(paths, read, size, first)

        return Clip(
            name=self.name,
            rainy=Frames(self.rainy, read_rgb, size, first),
            clean=Frames(self.clean, read_rgb, size, first),
            drop_only=frames(self.drop_only, read_rgb),
            streak_masks=frames(self.streak_masks, read_mask),
            drop_masks=frames(self.drop_masks, _read_inverted if self.inverted else read_mask),
        )


def _read_inverted(path: Path) -> Pixels:
    return 255 - read_mask(path)
