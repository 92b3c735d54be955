"""What restoration is measured on: pairs and clips from folders, data sets or generated rain."""

import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rainclear.data.layouts import find_layout
from rainclear.data.protocol import Clip
from rainclear.data.readers import FileDataset, open_dataset
from rainclear.data.readers.files import natural, pair_folders, pictures, read_rgb, same_size
from rainclear.errors import InputError
from rainclear.evaluation.metrics import Picture
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.video import VideoReader, is_image, is_video, probe

__all__ = ["Case", "Shown", "dataset_cases", "first_frames", "paired_cases", "rained_cases"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shown:
    """One rainy picture, H×W×3 uint8 RGB, with its truth of the same size, and its name."""

    name: str
    rainy: Picture
    clean: Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A single pair, or a clip whose frames belong together; read when it is opened.

    Attributes:
        name: Unique among the cases of a run.
        clip: Whether it is a clip: then state is carried from frame to frame.
        frames: Number of frames; an estimate for some videos, ``None`` if unknown.
        open: Begins to read; raises InputError, which names the file, when a picture is damaged or
            is not of its partner's size.
    """

    name: str
    clip: bool
    frames: int | None
    open: Callable[[], Iterator[Shown]]


def paired_cases(rainy: Path, clean: Path) -> list[Case]:
    """Rainy and clean pictures or clips that lie in two places.

    Args:
        rainy: A folder, a video or a picture. Pictures in the folder are single pairs; videos and
            folders of pictures in it are clips.
        clean: The same without rain: partners have the same name without suffix.

    Raises:
        InputError: A path is missing, there is nothing to measure, or a partner is missing.
    """
    for path in (rainy, clean):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if rainy.is_dir() != clean.is_dir():
        raise InputError(f"{rainy} and {clean}: give two folders, two videos or two pictures")
    if not rainy.is_dir():
        return [_two_files(rainy, clean, rainy.stem)]
    singles = pair_folders(rainy, clean) if pictures(rainy) else []
    cases = [_two_files(r, c, r.stem) for r, c in singles]
    partners = {path.stem: path for path in _videos(clean)}
    for path in _videos(rainy):
        if path.stem not in partners:
            raise InputError(f"{path}: has no partner named {path.stem}.* in {clean}")
        cases.append(_two_files(path, partners[path.stem], path.name))
    for folder in _clip_folders(rainy):
        pairs = pair_folders(folder, clean / folder.name)
        cases.append(
            Case(
                name=folder.name,
                clip=True,
                frames=len(pairs),
                open=partial(map, _read_pair, pairs),
            )
        )
    if not cases:
        raise InputError(f"{rainy}: holds no picture, no video and no folder of pictures")
    return cases


def dataset_cases(kind: str, root: Path, split: str) -> list[Case]:
    """All samples of a public data set; see :func:`rainclear.data.readers.open_dataset`.

    Raises:
        ConfigError: The kind or split is unknown.
        InputError: The folder does not hold that data set.
    """
    data = open_dataset(kind, root, split=split)
    clips = find_layout(kind, split).clips
    return [
        Case(
            name=name,
            clip=clips,
            frames=None if clips else 1,
            open=partial(_sample, data, i),
        )
        for i, name in enumerate(data.names)
    ]


def rained_cases(clean: Path, rain: str, *, seed: int = 0) -> list[Case]:
    """Clean pictures and clips that are rained on as they are read.

    Args:
        clean: A picture, a video, or a folder of pictures, videos and folders of pictures.
        rain: Name of a rain preset; it is scaled to the height of the pictures.
        seed: The same seed and names give the same rain, whatever else is in the folder.

    Raises:
        ConfigError: There is no such preset.
        InputError: The path is missing or holds nothing to rain on.
    """
    preset(rain)
    if not clean.exists():
        raise InputError(f"{clean}: no such file or folder")

    files = [clean] if clean.is_file() else [*pictures(clean), *_videos(clean)]
    found: list[tuple[Path, bool, int | None, Callable[[], Iterator[Picture]]]] = []
    for file in files:
        if is_image(file):
            found.append((file, False, 1, partial(_pictures, [file])))
        elif is_video(file):
            found.append((file, True, probe(file).frames, partial(_frames, file)))
    for folder in _clip_folders(clean):
        inside = pictures(folder)
        found.append((folder, True, len(inside), partial(_pictures, inside)))
    if not found:
        raise InputError(f"{clean}: holds no picture, no video and no folder of pictures")
    return [
        Case(
            name=path.name,
            clip=clip,
            frames=frames,
            open=partial(_rain_on, read, rain, _own_seed(seed, path.name)),
        )
        for path, clip, frames, read in found
    ]


def first_frames(cases: Sequence[Case], count: int) -> list[Case]:
    """The same cases, each with ``count`` frames at most."""
    return [
        replace(
            case,
            frames=None if case.frames is None else min(case.frames, count),
            open=partial(_first, case, count),
        )
        for case in cases
    ]


def _first(case: Case, count: int) -> Iterator[Shown]:
    return islice(case.open(), count)


def _own_seed(seed: int, name: str) -> int:
    return int(np.random.default_rng([seed, zlib.crc32(name.encode())]).integers(2**31))


def _videos(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if is_video(p) and not p.name.startswith("."))
    return sorted(found, key=natural)


def _clip_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.is_dir() and pictures(p)), key=natural)


def _read_pair(pair: tuple[Path, Path]) -> Shown:
    rainy, clean = pair
    pixels = read_rgb(rainy)
    truth = same_size(read_rgb(clean), clean, pixels.shape, rainy)
    return Shown(name=rainy.stem, rainy=pixels, clean=truth)


def _two_files(rainy: Path, clean: Path, name: str) -> Case:
    if is_image(rainy) and is_image(clean):
        pair = (rainy, clean)
        return Case(name=name, clip=False, frames=1, open=partial(map, _read_pair, [pair]))
    if is_video(rainy) and is_video(clean):
        count = probe(rainy).frames
        return Case(name=name, clip=True, frames=count, open=partial(_two_videos, rainy, clean))
    raise InputError(f"{rainy} and {clean}: give two folders, two videos or two pictures")


def _two_videos(rainy: Path, clean: Path) -> Iterator[Shown]:
    done = 0
    with closing(_frames(rainy)) as ours, closing(_frames(clean)) as truths:
        while True:
            pixels, truth = next(ours, None), next(truths, None)
            if pixels is None or truth is None:
                break
            truth = same_size(truth, clean, pixels.shape, rainy)
            yield Shown(name=str(done), rainy=pixels, clean=truth)
            done += 1
    if pixels is not None or truth is not None:
        short, long = (rainy, clean) if pixels is None else (clean, rainy)
        raise InputError(f"{short}: has {done} frames, but its partner {long} has more")


def _frames(path: Path) -> Generator[Picture, None, None]:
    with VideoReader(path) as reader:
        for frame in reader:
            yield frame.eight_bit()
        if reader.report.message:
            # Frames after a gap would be compared with others' truth.
            raise InputError(f"{path}: cannot be measured: {reader.report.message}")


def _pictures(files: Sequence[Path]) -> Iterator[Picture]:
    size = None
    for file in files:
        pixels = read_rgb(file)
        size = size or pixels.shape
        yield same_size(pixels, file, size, files[0])


def _rain_on(read: Callable[[], Iterator[Picture]], kind: str, seed: int) -> Iterator[Shown]:
    rain: RainClip | None = None
    for index, clean in enumerate(read()):
        height, width = clean.shape[:2]
        if rain is None:
            rain = RainClip(preset(kind, height=height), height, width, seed=seed)
        rainy = rain(clean.astype(np.float32) / np.float32(255)).rainy
        pixels = np.rint(np.clip(rainy, 0, 1) * 255).astype(np.uint8)
        yield Shown(name=str(index), rainy=pixels, clean=clean)


def _sample(data: FileDataset[Any], number: int) -> Iterator[Shown]:
    sample = data[number]
    if not isinstance(sample, Clip):
        yield Shown(name=sample.name, rainy=sample.rainy, clean=sample.clean)
        return
    for index, (rainy, clean) in enumerate(zip(sample.rainy, sample.clean, strict=True)):
        yield Shown(name=str(index), rainy=rainy, clean=clean)
