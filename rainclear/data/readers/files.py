"""Files that belong together: listing, pairing by name, and reading when asked."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rainclear.data.protocol import Pixels
from rainclear.errors import InputError
from rainclear.video import is_image, read_image

__all__ = [
    "below",
    "natural",
    "pair_folders",
    "pair_up",
    "pictures",
    "read_mask",
    "read_rgb",
    "same_size",
    "split_folders",
]

Key = Callable[[Path], str]


def below(folder: Path, path: Path) -> str:
    """The path from the folder on, without suffix: ``day/00001``."""
    return path.relative_to(folder).with_suffix("").as_posix()


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``rain-2`` before ``rain-10``."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(0, int(p), p) if p.isdigit() and p.isascii() else (1, 0, p) for p in parts]


def pictures(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The pictures of a folder in natural order; none if there is no such folder.

    Hidden files are left out: unfinished ones of ours, and what some systems put beside pictures.
    """
    if not folder.is_dir():
        return []
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted((p for p in found if is_image(p) and not p.name.startswith(".")), key=natural)


def split_folders(root: Path, names: Iterable[str]) -> list[Path]:
    """Those of the named folders that exist below ``root``, or ``root`` if it is one of them."""
    names = list(names)
    found = [root / name for name in names if (root / name).is_dir()]
    own = root.resolve().parts
    if not found and any(own[-len(Path(n).parts) :] == Path(n).parts for n in names):
        return [root]
    return found


def _stem(path: Path) -> str:
    return path.stem


def pair_up(
    rainy: Iterable[Path],
    clean: Iterable[Path],
    folder: Path,
    *,
    key: Key = _stem,
    clean_key: Key = _stem,
) -> list[tuple[Path, Path]]:
    """Give each rainy picture its clean one; clean ones may be left over or be used again.

    Args:
        rainy: Rainy pictures, whose order is kept.
        clean: Clean pictures.
        folder: Where the clean ones are; for messages.
        key: Name, without suffix, that the partner of a rainy picture should have.
        clean_key: That name for a clean picture; its stem by default.

    Raises:
        InputError: A rainy picture has no partner, or two pictures could be it.
    """
    partners: dict[str, Path] = {}
    for path in clean:
        other = partners.setdefault(clean_key(path), path)
        if other != path:
            raise InputError(f"{path}: has the same name as {other}; keep one of them")
    pairs = []
    for path in rainy:
        partner = partners.get(key(path))
        if partner is None:
            raise InputError(f"{path}: has no partner named {key(path)}.* in {folder}")
        pairs.append((path, partner))
    return pairs


def pair_folders(
    rainy: Path, clean: Path, *, key: Key = _stem, clean_key: Key = _stem
) -> list[tuple[Path, Path]]:
    """Pictures of two folders, paired by name without suffix; see :func:`pair_up`.

    Raises:
        InputError: A folder is missing or holds no picture, or a picture has no partner.
    """
    for folder in (rainy, clean):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    found = pictures(rainy)
    if not found:
        raise InputError(f"{rainy}: holds no picture")
    return pair_up(found, pictures(clean), clean, key=key, clean_key=clean_key)


def read_rgb(path: Path) -> Pixels:
    """A picture as H×W×3 uint8 RGB.

    Raises:
        InputError: It is missing or damaged.
    """
    return read_image(path).eight_bit()


def read_mask(path: Path) -> Pixels:
    """A grey picture as H×W uint8; of a coloured one the brightest channel.

    Raises:
        InputError: It is missing or damaged.
    """
    mask: Pixels = read_rgb(path).max(axis=2)
    return mask


def same_size(pixels: Pixels, path: Path, size: Sequence[int], partner: Path) -> Pixels:
    """The picture itself, if its height and width are those of its partner.

    Raises:
        InputError: They are not.
    """
    height, width = pixels.shape[:2]
    if (height, width) != tuple(size[:2]):
        raise InputError(
            f"{path}: is {width}×{height}, but its partner {partner} is {size[1]}×{size[0]}; "
            "the two must have one size"
        )
    return pixels
