"""Contact sheet: one picture under every kind of rain."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.rain.clip import RainClip
from rainclear.rain.presets import PRESETS, preset

__all__ = ["contact_sheet"]

Pixels = npt.NDArray[np.uint8]


def contact_sheet(
    picture: Pixels,
    presets: Sequence[str] = tuple(PRESETS),
    *,
    seed: int = 0,
    columns: int = 3,
    width: int = 480,
) -> Pixels:
    """The picture as it is and under each preset, side by side with their names.

    Args:
        picture: H×W×3 uint8 RGB.
        presets: Names of presets.
        seed: Seed of the rain, the same for all.
        columns: Pictures in a row.
        width: Width of each in the sheet, in pixels; the rain falls at the picture's own size.

    Returns:
        The sheet, uint8 RGB.

    Raises:
        ConfigError: There is no such preset.
    """
    height = picture.shape[0]
    clean = picture.astype(np.float32) / np.float32(255)
    tiles = [_tile(picture, "clean", width)]
    for name in presets:
        rain = RainClip(preset(name, height=height), *picture.shape[:2], seed=seed)
        rainy = np.rint(rain(clean).rainy * 255).astype(np.uint8)
        tiles.append(_tile(rainy, name, width))
    blank = np.full_like(tiles[0], 24)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.ascontiguousarray(np.vstack(rows))


def _tile(picture: Pixels, name: str, width: int) -> Pixels:
    height = round(picture.shape[0] * width / picture.shape[1])
    method = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_CUBIC
    tile = cv2.resize(picture, (width, height), interpolation=method)
    scale = max(0.5, width / 900)
    (text, tall), below = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    tile[: tall + below + 10, : text + 16] = 0
    cv2.putText(
        tile, name, (8, tall + 6), cv2.FONT_HERSHEY_SIMPLEX, scale, (255,) * 3, 1, cv2.LINE_AA
    )
    return np.asarray(tile, np.uint8)
