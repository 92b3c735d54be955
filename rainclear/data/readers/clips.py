"""Readers of video sets: NTURain, VRDS, LWDDS; each clip is a folder with a picture a frame.

As in :mod:`.streaks`, a reader gives no files if the folder is not of its layout.
"""

import re
from collections.abc import Callable
from pathlib import Path

from rainclear.data.readers.files import natural, pair_up, pictures, split_folders
from rainclear.data.readers.sources import ClipFiles
from rainclear.errors import InputError

__all__ = ["lwdds", "nturain", "vrds"]


def _frame_number(path: Path) -> str:
    """The last number in the name, without leading zeros; the stem if it has none."""
    numbers = re.findall(r"\d+", path.stem)
    return str(int(numbers[-1])) if numbers else path.stem


def _clip(
    name: str,
    rainy: Path,
    clean: Path,
    *,
    extra: dict[str, Path] | None = None,
    inverted: bool = False,
    key: Callable[[Path], str] = _frame_number,
) -> ClipFiles:
    """Pair the frames of a clip; ``extra`` gives folders of the optional sequences by name."""
    found = pictures(rainy)
    if not found:
        raise InputError(f"{rainy}: holds no picture")

    def partners(folder: Path) -> tuple[Path, ...]:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder, but the clip {rainy} needs it")
        pairs = pair_up(found, pictures(folder), folder, key=key, clean_key=key)
        return tuple(partner for _, partner in pairs)

    others = {role: partners(folder) for role, folder in (extra or {}).items()}
    return ClipFiles(
        name=name,
        rainy=tuple(found),
        clean=partners(clean),
        drop_only=others.get("drop_only"),
        streak_masks=others.get("streak_masks"),
        drop_masks=others.get("drop_masks"),
        inverted=inverted,
    )


def _clip_folders(folder: Path) -> list[Path]:
    inner = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(inner, key=natural)


def nturain(root: Path, split: str) -> list[ClipFiles]:
    """NTURain: ``X_Rain`` and ``X_Rain_02`` belong to ``X_GT``; the real clips have no truth.

    Folder names are known from the authors' repository and S2VD's preparation; frames are paired
    by their number.
    """
    name = {"train": "Dataset_Training_Synthetic", "test": "Dataset_Testing_Synthetic"}[split]
    clips = []
    for base in split_folders(root, (name,)):
        for folder in _clip_folders(base):
            match = re.fullmatch(r"(.+)_Rain(?:_\d+)?", folder.name)
            if match:
                clips.append(_clip(folder.name, folder, base / f"{match[1]}_GT"))
    return clips


def vrds(root: Path, split: str) -> list[ClipFiles]:
    """VRDS: the folders that ViMP-Net's training configuration names.

    ``lq`` (drops and streaks) and ``gt`` are certain. That ``drop`` holds the frames without
    streaks, ``mstreak`` the streak maps and ``01drop`` the drop masks is read off their use as the
    targets of the network's stages. ``train`` and ``test`` above them are taken as well.
    """
    base = root / split if (root / split).is_dir() else root
    prefix = "test" if split == "test" and base == root else ""
    rainy, clean = base / f"{prefix}lq", base / f"{prefix}gt"
    if not (rainy.is_dir() and clean.is_dir()):
        return []
    roles = {"drop_only": "drop", "streak_masks": "mstreak", "drop_masks": "01drop"}
    found = {role: base / f"{prefix}{name}" for role, name in roles.items()}
    found = {role: folder for role, folder in found.items() if folder.is_dir()}
    return [
        _clip(
            folder.name,
            folder,
            clean / folder.name,
            extra={role: place / folder.name for role, place in found.items()},
        )
        for folder in _clip_folders(rainy)
    ]


def lwdds(root: Path, split: str) -> list[ClipFiles]:
    """LWDDS: a clip has drops in focus (``rainy_vid``) and, for training, blurred ones as well.

    Folders and names are known from the authors' loaders (same names in all folders). Their loader
    takes one minus the mask; so drops are assumed dark in the files, and are bright in
    ``drop_masks`` here.
    """
    names = {"train": ("train_vid",), "test": ("syn", "test/syn")}
    for base in split_folders(root, names[split]):
        if not ((base / "rainy_vid").is_dir() and (base / "clean_vid").is_dir()):
            continue
        clips = []
        for ending in ("", "_blur"):
            rainy, mask = base / f"rainy_vid{ending}", base / f"rainy_mask{ending}"
            for folder in _clip_folders(rainy) if rainy.is_dir() else []:
                clips.append(
                    _clip(
                        f"{folder.name}{ending}",
                        folder,
                        base / "clean_vid" / folder.name,
                        extra={"drop_masks": mask / folder.name} if mask.is_dir() else None,
                        inverted=True,
                        key=lambda path: path.stem,
                    )
                )
        return clips
    return []
