"""The joint set of the paper (Sec. 4.4): streaks of four levels over every Raindrop picture."""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rainclear.data.protocol import Pair, Pixels
from rainclear.data.readers import open_dataset
from rainclear.errors import OutputError
from rainclear.rain.clip import MASK_FULL_SCALE, RainClip, RainParams
from rainclear.rain.streaks import StreakLayer
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["LEVELS", "JrsrdReport", "build_jrsrd", "streak_rain"]

LEVELS = 4
SPLITS = ("train", "test")
_VERSION = 1
_ROLES = ("joint", "drop", "clean", "streak", "meta")


@dataclass(frozen=True, kw_only=True, slots=True)
class JrsrdReport:
    """What a run did.

    Attributes:
        train: Pictures of the training split that are there now.
        test: Those of the test split.
        made: Pictures that this run made; the others were there.
    """

    train: int
    test: int
    made: int


def streak_rain(rng: np.random.Generator, level: int, *, height: int) -> tuple[float, RainParams]:
    """Streaks of one level: two layers of motion-blurred noise in a random direction.

    The paper's recipe is the one of image editors: noise of 20–60 %, motion blur, screen blending.
    Each level has a quarter of that range, so that the four of a picture always differ.

    Args:
        rng: Source of all randomness.
        level: 1 (noise 20–30 %) to 4 (50–60 %).
        height: Height of the picture, which the length of the streaks goes with.

    Returns:
        The share of noise, 0.2..0.6, and the rain.
    """
    noise = 0.2 + 0.4 * (level - 1 + float(rng.random())) / LEVELS
    angle = float(rng.uniform(-40, 40))
    length = float(rng.uniform(0.05, 0.13)) * height
    near = StreakLayer(
        family="noise",
        density=noise / 2.5,  # the family lights 2.5 × density of the pixels
        length=max(5.0, length),
        width=float(rng.uniform(1.0, 2.2)),
        angle=angle,
        wander=0.0,
        opacity=float(rng.uniform(0.6, 0.85)),
    )
    far = StreakLayer(
        family="noise",
        density=noise / 2.5,
        length=max(4.0, 0.5 * length),
        width=1.0,
        angle=angle + float(rng.normal(0, 2)),
        wander=0.0,
        opacity=float(rng.uniform(0.3, 0.5)),
    )
    # Covering with white light is screen blending: J + α (1 − J), up to a constant factor.
    return noise, RainParams(layers=(near, far), streak_light=1.0)


def build_jrsrd(
    raindrop_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> JrsrdReport:
    """Make the joint set from the Raindrop set: 861 and 58 pictures give 3,444 and 232.

    Writes, for each split, ``joint`` and ``streak`` (soft mask) with a file a picture and level,
    ``drop`` and ``clean`` with a file a picture (the drop-only picture is Raindrop's own input),
    and ``meta`` with seed and parameters. Every picture depends on the seed and its name alone, so
    the same seed gives the same files. A run that was broken off goes on where it stopped.

    Args:
        raindrop_root: The Raindrop set, with ``train`` and ``test_a``.
        out: Folder for the set; made if missing.
        seed: Seed of all randomness.
        overwrite: Make everything anew in a folder that already holds a set.
        progress: Called with the number of pictures done and of all.

    Raises:
        InputError: The Raindrop set is not there, or a picture is damaged or lacks its partner.
        OutputError: The folder holds something else or a set of another seed, or cannot be
            written to.
    """
    out = Path(out)
    sources = {split: open_dataset("raindrop", raindrop_root, split=split) for split in SPLITS}
    _claim(out, seed, overwrite=overwrite)
    total = LEVELS * sum(len(pairs) for pairs in sources.values())
    done = made = 0
    for split, pairs in sources.items():
        for role in _ROLES:
            with output_errors(out):
                (out / split / role).mkdir(parents=True, exist_ok=True)
        for index, name in enumerate(pairs.names):
            missing = [
                k
                for k in range(1, LEVELS + 1)
                if overwrite or not _done(out / split, name, k, seed)
            ]
            if missing:
                _write_picture(out / split, pairs[index], missing, seed)
                made += len(missing)
            done += LEVELS
            if progress is not None:
                progress(done, total)
    counts = {split: LEVELS * len(pairs) for split, pairs in sources.items()}
    return JrsrdReport(train=counts["train"], test=counts["test"], made=made)


def _claim(out: Path, seed: int, *, overwrite: bool) -> None:
    """Mark the folder as a set of this seed, or see that it is one."""
    marker = out / "jrsrd.json"
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        visible = any(not path.name.startswith(".") for path in out.iterdir())
    if visible and not marker.is_file():
        raise OutputError(f"{out}: is not empty and holds no JRSRD; give an empty or new folder")
    wanted = {"set": "jrsrd", "version": _VERSION, "seed": seed, "levels": LEVELS}
    if marker.is_file() and not overwrite:
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            there = found.get("seed") if isinstance(found, dict) else "unknown"
            raise OutputError(
                f"{out}: holds a JRSRD made otherwise (seed {there}, not {seed}, or another "
                "version); give another folder or allow overwriting"
            )
    _write(marker, _json(wanted))


def _files(folder: Path, name: str, level: int) -> Iterator[Path]:
    yield folder / "drop" / f"{name}.png"
    yield folder / "clean" / f"{name}.png"
    yield folder / "joint" / f"{name}_{level}.png"
    yield folder / "streak" / f"{name}_{level}.png"
    yield folder / "meta" / f"{name}_{level}.json"


def _done(folder: Path, name: str, level: int, seed: int) -> bool:
    """Whether a picture is there, and not one of another seed that was being written over."""
    *_, meta = files = list(_files(folder, name, level))
    if not all(path.is_file() for path in files):
        return False
    try:
        return bool(json.loads(meta.read_text(encoding="utf-8"))["seed"] == seed)
    except (ValueError, KeyError, TypeError):
        return False


def _write_picture(folder: Path, pair: Pair, levels: list[int], seed: int) -> None:
    name = pair.name
    _write(folder / "drop" / f"{name}.png", _png(pair.rainy))
    _write(folder / "clean" / f"{name}.png", _png(pair.clean))
    height, width = pair.rainy.shape[:2]
    for level in levels:
        key = zlib.crc32(f"{folder.name}/{name}/{level}".encode())
        rng = np.random.default_rng([seed, key])
        noise, params = streak_rain(rng, level, height=height)
        rain_seed = int(rng.integers(2**31))
        rain = RainClip(params, height, width, seed=rain_seed)
        frame = rain(pair.rainy.astype(np.float32) / np.float32(255))
        joint = np.rint(np.clip(frame.rainy, 0, 1) * 255).astype(np.uint8)
        streak = np.rint(frame.streak_mask * 255).astype(np.uint8)
        meta = {
            "picture": name,
            "level": level,
            "seed": seed,
            "rain_seed": rain_seed,
            "noise": noise,
            "mask_full_scale": MASK_FULL_SCALE,
            "rain": asdict(params),
        }
        _write(folder / "joint" / f"{name}_{level}.png", _png(joint))
        _write(folder / "streak" / f"{name}_{level}.png", _png(streak))
        _write(folder / "meta" / f"{name}_{level}.json", _json(meta))


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _png(pixels: Pixels) -> bytes:
    """PNG of an RGB picture, or of a mask as grey."""
    image = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", image)
    return bytes(data)


def _write(path: Path, data: bytes) -> None:
    file = PartialFile(path, overwrite=True)
    try:
        with output_errors(path):
            file.partial.write_bytes(data)
        file.commit()
    finally:
        file.discard()
