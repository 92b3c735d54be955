"""Labelled pictures to measure detection on, with rain of their own or generated rain."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rainclear.data.readers.files import pair_folders, pictures, read_rgb
from rainclear.detection.detections import Pixels
from rainclear.errors import ConfigError, InputError
from rainclear.evaluation.labels import GroundTruth, Labels
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset

__all__ = ["DetectionSet", "open_detection_set"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectionSet:
    """Labelled pictures, rainy, and clean where there is such a partner.

    Attributes:
        files: The labelled pictures.
        labels: Their labels.
        clean: The clean partner of each; empty if there is none.
        rain: Preset that is rained on ``files``, which are clean then.
        draws: Rains on each picture, one after another and independent.
        unlabelled: Pictures of the folder that are left out, as they have no labels.
    """

    files: tuple[Path, ...]
    labels: Labels
    clean: tuple[Path, ...] = ()
    rain: str | None = None
    draws: int = 1
    unlabelled: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def has_clean(self) -> bool:
        """Whether every picture has a clean partner."""
        return bool(self.clean) or self.rain is not None

    def read(self, index: int, draw: int = 0) -> tuple[Pixels, Pixels | None]:
        """The rainy and the clean picture, H×W×3 uint8 RGB.

        The seed of the rain is ``index + draw · 2³²``: no two rains of a set share one, and the
        first draws are the same however many there are.

        Args:
            index: Number of the picture.
            draw: Number of its rain; without generated rain it changes nothing.

        Raises:
            InputError: A picture cannot be read, or two partners differ in size.
        """
        picture = _eight_bit(self.files[index])
        if self.rain is not None:
            height, width = picture.shape[:2]
            seed = index + (draw << 32)
            rain = RainClip(preset(self.rain, height=height), height, width, seed=seed)
            rainy = rain(picture.astype(np.float32) / np.float32(255)).rainy
            return np.rint(rainy * 255).astype(np.uint8), picture
        if not self.clean:
            return picture, None
        clean = _eight_bit(self.clean[index])
        if clean.shape != picture.shape:
            raise InputError(f"{self.files[index]} and {self.clean[index]} differ in size")
        return picture, clean

    @property
    def left_out(self) -> str:
        """One line about the pictures without labels; empty if all have some."""
        if not self.unlabelled:
            return ""
        names = ", ".join(file.name for file in self.unlabelled[:3])
        more = ", …" if len(self.unlabelled) > 3 else ""
        return (
            f"{len(self.unlabelled)} of {len(self) + len(self.unlabelled)} pictures have no labels "
            f"and are left out ({names}{more}); an empty label file says that a picture shows "
            "nothing"
        )

    def truth(self, index: int, shape: tuple[int, ...]) -> GroundTruth:
        """The labels of a picture of this shape."""
        return self.labels.of(self.files[index], shape[0], shape[1])


def _eight_bit(path: Path) -> Pixels:
    pixels = read_rgb(path)
    return (pixels >> 8).astype(np.uint8) if pixels.dtype.itemsize == 2 else pixels.astype(np.uint8)


def open_detection_set(
    images: Path,
    labels: Labels,
    *,
    clean: Path | None = None,
    rain: str | None = None,
    draws: int = 1,
) -> DetectionSet:
    """The pictures of a folder that have labels.

    Args:
        images: Folder of rainy pictures, or of clean ones if ``rain`` is given.
        labels: Their labels; pictures without are left out, and kept as ``unlabelled``.
        clean: Folder of clean partners of the same names.
        rain: Preset of generated rain.
        draws: Rains on each picture, 1 or more.

    Raises:
        InputError: There is no labelled picture, or one has no clean partner.
        ConfigError: There is no such preset, or several draws but no rain to draw,
            or less than one.
    """
    if draws < 1:
        raise ConfigError(f"draws={draws}: every picture is rained on once or more")
    if draws > 1 and rain is None:
        raise ConfigError(
            f"--draws {draws}: only generated rain can be drawn anew: give clean --images "
            "and --rain PRESET, or leave --draws out"
        )
    if not images.is_dir():
        raise InputError(f"{images}: is not a folder of pictures")
    found = pictures(images)
    files = tuple(file for file in found if labels.has(file))
    if not files:
        raise InputError(f"{images}: no picture in it has labels")
    unlabelled = tuple(file for file in found if not labels.has(file))
    plain = DetectionSet(files=files, labels=labels, unlabelled=unlabelled)
    if rain is not None:
        preset(rain)
        return replace(plain, rain=rain, draws=draws)
    if clean is None:
        return plain
    partners = dict(pair_folders(images, clean))
    return replace(plain, clean=tuple(partners[f] for f in files))
