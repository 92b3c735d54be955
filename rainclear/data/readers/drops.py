"""Readers of sets with drops on the glass: Raindrop, RainDS, Raindrop Clarity, DPRRN, JRSRD.

As in :mod:`.streaks`, a reader gives no files if the folder is not of its layout.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from rainclear.data.readers.files import below, pair_up, pictures, split_folders
from rainclear.data.readers.sources import DualPixelFiles, PairFiles

__all__ = ["dprrn", "jrsrd", "raindrop", "raindrop_clarity", "rainds"]

_RAINDS_PREFIX = re.compile(r"^(pie-)?(?:rd-rain|rd-rs|rs-rd|rd|rs|rain)-")


def raindrop(root: Path, split: str) -> list[PairFiles]:
    """Raindrop: ``data/ID_rain`` belongs to ``gt/ID_clean``; known from the authors' readme.

    The test split is test_a, whose pictures are aligned, as in all papers; test_b holds it too.
    """
    name = {"train": "train", "test": "test_a", "test_b": "test_b"}[split]
    for folder in split_folders(root, (name, f"raindrop_{name}")):
        inner = folder / name if (folder / name / "data").is_dir() else folder
        rainy, clean = inner / "data", inner / "gt"
        if pictures(rainy) and clean.is_dir():
            pairs = pair_up(
                pictures(rainy),
                pictures(clean),
                clean,
                key=lambda p: p.stem.removesuffix("_rain") + "_clean",
            )
            return [
                PairFiles(name=r.stem.removesuffix("_rain"), rainy=r, clean=c) for r, c in pairs
            ]
    return []


def rainds(variant: Literal["syn", "real"]) -> Callable[[Path, str], list[PairFiles]]:
    """RainDS: three rainy pictures of every clean one.

    Known from public loaders: in RainDS_syn the names begin with ``rd-``, ``rain-``, ``rd-rain-``
    and ``norain-``, some with ``pie-`` before it; in RainDS_real all are plain numbers. The
    prefixes ``rs-`` and ``rd-rs-`` are taken as well. A joint picture gets the raindrop picture of
    its scene as ``drop_only``: that both have the same drops is assumed.
    """

    def key(path: Path) -> str:
        return _RAINDS_PREFIX.sub(lambda match: f"{match[1] or ''}norain-", path.stem)

    def read(root: Path, split: str) -> list[PairFiles]:
        name = f"RainDS_{variant}"
        for folder in split_folders(root, (name, f"RainDS/{name}")):
            for base in (folder / split, folder / f"{split}_set"):
                if (base / "gt").is_dir():
                    return _quadruples(base, key)
        return []

    return read


def _quadruples(base: Path, key: Callable[[Path], str]) -> list[PairFiles]:
    clean = pictures(base / "gt")
    drops = {key(path): path for path in pictures(base / "raindrop")}
    return [
        PairFiles(
            name=f"{kind}/{r.stem}",
            rainy=r,
            clean=c,
            drop_only=drops.get(key(r)) if kind == "rainstreak_raindrop" else None,
        )
        for kind in ("raindrop", "rainstreak", "rainstreak_raindrop")
        for r, c in pair_up(pictures(base / kind), clean, base / "gt", key=key)
    ]


def raindrop_clarity(root: Path, split: str) -> list[PairFiles]:
    """Raindrop Clarity: ``Drop/SEQUENCE/NAME`` belongs to ``Clear/SEQUENCE/NAME``.

    ``DayRainDrop_Train`` and ``NightRainDrop_Train`` and their folders are known from the authors'
    loader; that the test archives are named alike, with ``_Test``, is assumed. Either part of the
    day may be missing. ``Blur`` is the clear scene out of focus and is not read.
    """
    sources: list[PairFiles] = []
    parts = [f"{part}RainDrop_{split.title()}" for part in ("Day", "Night")]
    for folder in split_folders(root, parts):
        drop, clear = folder / "Drop", folder / "Clear"
        if not (drop.is_dir() and clear.is_dir()):
            continue
        part = "Day" if folder.resolve().name.startswith("Day") else "Night"
        pairs = pair_up(
            pictures(drop, recursive=True),
            pictures(clear, recursive=True),
            clear,
            key=partial(below, drop),
            clean_key=partial(below, clear),
        )
        sources += [PairFiles(name=f"{part}/{below(drop, r)}", rainy=r, clean=c) for r, c in pairs]
    return sources


def dprrn(root: Path, split: str) -> list[DualPixelFiles]:
    """DPRRN's dual-pixel sets, as the authors' loaders read them, or a folder a role.

    Known: ``dp_rainy/NAME_{C,L,R}`` with ``dp_gt/NAME_GT_{C,L,R}`` (generated drops) or
    ``dp_gt/NAME_GT`` (real). A folder a role (``left``, ``right``, ``gt``, perhaps ``mask`` and
    ``rainy``, one name in all) is our own, for generated data.
    """
    names = {
        "train": ("Synthetic_Raindrop_Dataset/train", "train"),
        "test": ("Synthetic_Raindrop_Dataset/test", "test"),
        "real": ("Real_World_Dataset/test", "real"),
    }
    places = split_folders(root, names[split])
    for folder in places:
        if (folder / "dp_rainy").is_dir() and (folder / "dp_gt").is_dir():
            return _authors_dual_pixel(folder / "dp_rainy", folder / "dp_gt")
    for folder in [*places, root]:
        if (folder / "left").is_dir() and (folder / "gt").is_dir():
            return _plain_dual_pixel(folder)
    return []


def _authors_dual_pixel(rainy: Path, clean: Path) -> list[DualPixelFiles]:
    shots, truths = pictures(rainy), pictures(clean)

    def of(name: str) -> dict[str, Path]:
        """Rainy picture of that letter, of each combined truth."""
        pairs = pair_up(whole, shots, rainy, key=lambda p: _shot(p) + name)
        return {path.stem: shot for path, shot in pairs}

    whole = [path for path in truths if path.stem.endswith(("_GT", "_GT_C"))]
    left, right, both = of("_L"), of("_R"), of("_C")
    halves = {path.stem: path for path in truths}
    return [
        DualPixelFiles(
            name=_shot(path),
            left=left[path.stem],
            right=right[path.stem],
            rainy=both[path.stem],
            clean=path,
            clean_left=halves.get(f"{_shot(path)}_GT_L"),
            clean_right=halves.get(f"{_shot(path)}_GT_R"),
        )
        for path in whole
    ]


def _shot(truth: Path) -> str:
    return truth.stem.removesuffix("_C").removesuffix("_GT")


def _plain_dual_pixel(folder: Path) -> list[DualPixelFiles]:
    left = pictures(folder / "left")

    def partners(role: str) -> dict[Path, Path]:
        files = pictures(folder / role)
        return dict(pair_up(left, files, folder / role))

    right, clean = partners("right"), partners("gt")
    mask = partners("mask") if (folder / "mask").is_dir() else {}
    rainy = partners("rainy") if (folder / "rainy").is_dir() else {}
    return [
        DualPixelFiles(
            name=path.stem,
            left=path,
            right=right[path],
            clean=clean[path],
            rainy=rainy.get(path),
            drop_mask=mask.get(path),
        )
        for path in left
    ]


def jrsrd(root: Path, split: str) -> list[PairFiles]:
    """The joint set as :func:`rainclear.data.jrsrd.build_jrsrd` writes it."""
    folder = root / split
    if not (folder / "joint").is_dir():
        return []
    joint = pictures(folder / "joint")

    def partners(role: str, key: Callable[[Path], str]) -> dict[Path, Path]:
        return dict(pair_up(joint, pictures(folder / role), folder / role, key=key))

    def scene(path: Path) -> str:
        return path.stem.rpartition("_")[0]

    drop, clean = partners("drop", scene), partners("clean", scene)
    streak = partners("streak", lambda path: path.stem)
    return [
        PairFiles(
            name=path.stem,
            rainy=path,
            clean=clean[path],
            drop_only=drop[path],
            streak_mask=streak[path],
        )
        for path in joint
    ]
