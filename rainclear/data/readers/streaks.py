"""Readers of streak sets: Rain100, Rain800, Rain1200, Rain1400, SPA-Data, RainCityscapes.

Every reader takes a root and a split and gives the files that it found there: none if the folder
is not of that layout. How sure each layout is, is said in its docstring.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from rainclear.data.readers.files import below, pair_up, pictures, split_folders
from rainclear.data.readers.sources import Halves, PairFiles
from rainclear.errors import InputError

__all__ = ["folders", "rain100", "rain800", "rain1200", "rain1400", "raincityscapes", "spa"]

_RAIN100_NAME = re.compile(r"(?:no)?rain-0*(\d+)(?:x2)?$")


def folders(root: Path, split: str) -> list[PairFiles]:
    """Two folders with the same names, in ``root`` or in its folder named as the split."""
    base = root / split if (root / split).is_dir() else root
    for rainy in ("rain", "rainy", "input"):
        for clean in ("clean", "norain", "target", "gt"):
            found = pictures(base / rainy)
            if found and (base / clean).is_dir():
                pairs = pair_up(found, pictures(base / clean), base / clean)
                return [PairFiles(name=r.stem, rainy=r, clean=c) for r, c in pairs]
    return []


def rain100(
    word: Literal["Light", "Heavy"],
) -> Callable[[Path, str], list[PairFiles]]:
    """Rain100L or Rain100H.

    Known: the authors' second release (``rain_data_train_Heavy/{norain,rain[/X2]}``, rainy pictures
    named ``norain-1x2``) and the first, as PReNet passes it on (``RainTrainH``, ``Rain100H``:
    ``norain-001`` beside ``rain-001`` or above ``rainy/rain-001``); ``input`` and ``target`` are
    the names that MPRNet and Restormer gave the test sets.
    """
    letter = word[0]
    names = {
        "train": (f"rain_data_train_{word}", f"RainTrain{letter}", "train"),
        "test": (f"rain_data_test_{word}", f"Rain100{letter}", "test"),
    }
    places = (
        ("rain/X2", "norain"),
        ("rain", "norain"),
        ("rainy", "norain"),
        ("rainy", "."),
        (".", "."),
        ("input", "target"),
    )

    def key(path: Path) -> str:
        match = _RAIN100_NAME.match(path.stem)
        return f"norain-{match[1]}" if match else path.stem

    def read(root: Path, split: str) -> list[PairFiles]:
        for folder in split_folders(root, names[split]):
            for place, partner in places:
                rainy, clean = pictures(folder / place), pictures(folder / partner)
                if place == ".":
                    rainy = [path for path in rainy if path.stem.startswith("rain-")]
                if partner == ".":
                    clean = [path for path in clean if path.stem.startswith("norain-")]
                if rainy and (clean or (partner != "." and (folder / partner).is_dir())):
                    pairs = pair_up(rainy, clean, folder / partner, key=key, clean_key=key)
                    return [PairFiles(name=r.stem, rainy=r, clean=c) for r, c in pairs]
        return []

    return read


def rain800(root: Path, split: str) -> list[Halves]:
    """Rain800: clean on the left, rainy on the right, as RESCAN's loader cuts them."""
    names = {
        "train": ("training", "rain/training", "train"),
        "test": ("test_syn", "rain/test_syn", "test"),
    }
    return [
        Halves(name=path.stem, path=path, rainy_left=False)
        for folder in split_folders(root, names[split])[:1]
        for path in pictures(folder)
    ]


def rain1200(root: Path, split: str) -> list[Halves]:
    """Rain1200: rainy on the left, clean on the right, as DID-MDN's loader cuts them."""
    name = {"train": "DID-MDN-training", "test": "DID-MDN-test"}[split]
    return [
        Halves(name=below(folder, path), path=path, rainy_left=True)
        for folder in split_folders(root, (name, f"DID-MDN-datasets/{name}"))[:1]
        for path in pictures(folder, recursive=True)
    ]


def rain1400(root: Path, split: str) -> list[PairFiles]:
    """Rain1400: ``rainy_image/ID_K`` belongs to ``ground_truth/ID``; known from DDN's loader."""
    names = {
        "train": ("training", "rainy_image_dataset/training", "train"),
        "test": ("testing", "rainy_image_dataset/testing", "test"),
    }
    for folder in split_folders(root, names[split]):
        rainy, clean = folder / "rainy_image", folder / "ground_truth"
        if rainy.is_dir() and clean.is_dir():
            pairs = pair_up(
                pictures(rainy), pictures(clean), clean, key=lambda p: p.stem.rpartition("_")[0]
            )
            return [PairFiles(name=r.stem, rainy=r, clean=c) for r, c in pairs]
    return []


def spa(root: Path, split: str) -> list[PairFiles]:
    """SPA-Data by its lists; the test set also without one, by the names in ``rain`` and ``gt``.

    Known from SPANet's loader: a line holds the rainy and the clean picture, with or without
    ``./`` or ``/`` in front. Only the first pair of a list is looked for at once, since the
    training list has 638,492 lines; a picture that is missing later is an error when it is read.

    Raises:
        InputError: A line of the list is not a pair, or the first pair is missing.
    """
    places = {"train": ("Training", "training", "."), "test": ("Testing", "testing", ".")}
    name = {"train": "real_world", "test": "real_test_1000"}[split]
    for place in places[split]:
        folder = root / place
        if (folder / f"{name}.txt").is_file():
            return _read_list(folder / f"{name}.txt")
        rain, clean = folder / name / "rain", folder / name / "gt"
        if split == "test" and rain.is_dir() and clean.is_dir():
            pairs = pair_up(pictures(rain), pictures(clean), clean, key=lambda p: p.stem + "gt")
            return [PairFiles(name=r.stem, rainy=r, clean=c) for r, c in pairs]
    return []


def _read_list(path: Path) -> list[PairFiles]:
    pairs: list[PairFiles] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise InputError(f"{path}: line {number} is not two file names: {line.strip()[:80]!r}")
        rainy, clean = (path.parent / word.removeprefix(".").lstrip("/") for word in words)
        if not pairs:
            for file in (rainy, clean):
                if not file.is_file():
                    raise InputError(f"{file}: no such file, but {path} names it; unpack it there")
        pairs.append(PairFiles(name=below(path.parent, rainy), rainy=rainy, clean=clean))
    return pairs


def raincityscapes(root: Path, split: str) -> list[PairFiles]:
    """RainCityscapes as Cityscapes gives it out, or as DAF-Net's scripts expect it.

    The first is known from its archives (``leftImg8bit_trainval_rain``); of the second the names
    are known, and that rainy pictures lie in ``train`` and ``test``, the truth in ``image``.
    """
    part = {"train": "train", "test": "val"}[split]
    rain, clear = f"leftImg8bit_rain/{part}", f"leftImg8bit/{part}"
    places = (
        (rain, clear),
        (f"leftImg8bit_trainval_rain/{rain}", f"leftImg8bit_trainvaltest/{clear}"),
        (f"leftImg8bit_trainval_rain/{rain}", clear),
        (split, "image"),
    )

    def key(path: Path) -> str:
        return re.sub(r"(_leftImg8bit)?_rain_alpha_.*$", "", path.stem) + "_leftImg8bit"

    for rainy, clean in places:
        found = pictures(root / rainy, recursive=True)
        if found and (root / clean).is_dir():
            partners = pictures(root / clean, recursive=True)
            pairs = pair_up(found, partners, root / clean, key=key)
            return [PairFiles(name=below(root / rainy, r), rainy=r, clean=c) for r, c in pairs]
    return []
