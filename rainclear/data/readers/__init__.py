"""Public data sets as they lie on disk, and generated rain, behind one protocol.

Example:
    >>> pairs = open_dataset("raindrop", "/data/raindrop", split="test")
    >>> for pair in pairs:
    ...     print(pair.name, pair.rainy.shape)
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rainclear.data.layouts import find_layout, wrong_folder
from rainclear.data.readers.clips import lwdds, nturain, vrds
from rainclear.data.readers.drops import dprrn, jrsrd, raindrop, raindrop_clarity, rainds
from rainclear.data.readers.files import pair_folders
from rainclear.data.readers.generated import GeneratedClips
from rainclear.data.readers.sources import FileDataset, Source
from rainclear.data.readers.streaks import (
    folders,
    rain100,
    rain800,
    rain1200,
    rain1400,
    raincityscapes,
    spa,
)

__all__ = [
    "READERS",
    "FileDataset",
    "GeneratedClips",
    "open_dataset",
    "open_splits",
    "pair_folders",
]

READERS: dict[str, Callable[[Path, str], Sequence[Source[Any]]]] = {
    "folders": folders,
    "rain100l": rain100("Light"),
    "rain100h": rain100("Heavy"),
    "rain800": rain800,
    "rain1200": rain1200,
    "rain1400": rain1400,
    "spa": spa,
    "raindrop": raindrop,
    "rainds-syn": rainds("syn"),
    "rainds-real": rainds("real"),
    "raindrop-clarity": raindrop_clarity,
    "raincityscapes": raincityscapes,
    "dprrn": dprrn,
    "jrsrd": jrsrd,
    "nturain": nturain,
    "vrds": vrds,
    "lwdds": lwdds,
}
"""What finds the files of each kind of :data:`rainclear.data.layouts.LAYOUTS`."""


def open_dataset(
    kind: str, root: str | os.PathLike[str], *, split: str = "train"
) -> FileDataset[Any]:
    """Open a data set; files are listed and paired now, and read when a sample is asked for.

    Args:
        kind: Which one; :data:`rainclear.data.layouts.LAYOUTS` has them all.
        root: Its folder, or that of the split itself where this has a name of its own.
        split: ``train`` or ``test``; some sets have more.

    Returns:
        A ``ClipDataset`` if the layout says ``clips``, else a ``PairedDataset``.

    Raises:
        ConfigError: The kind or split is unknown.
        InputError: The folder does not hold that data set (the message shows the layout expected
            and what was found), or a picture has no partner.
    """
    root = Path(root)
    layout = find_layout(kind, split)
    sources = READERS[kind](root, split) if root.is_dir() else []
    if not sources:
        raise wrong_folder(root, layout, split)
    return FileDataset(sources)


def open_splits(kind: str, root: str | os.PathLike[str]) -> dict[str, FileDataset[Any]]:
    """Open all parts of a data set that the folder holds, by split; see :func:`open_dataset`.

    Raises:
        ConfigError: The kind is unknown.
        InputError: The folder holds none of them, or a picture has no partner.
    """
    root = Path(root)
    layout = find_layout(kind)
    found = {split: READERS[kind](root, split) if root.is_dir() else [] for split in layout.splits}
    if not any(found.values()):
        raise wrong_folder(root, layout)
    return {split: FileDataset(sources) for split, sources in found.items() if sources}
