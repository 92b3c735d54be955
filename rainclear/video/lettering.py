"""Text on pictures that can be read on any ground."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["draw_text"]

_FONT: Any = cv2.FONT_HERSHEY_SIMPLEX
_AROUND = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y]


def draw_text(
    canvas: npt.NDArray[np.uint8],
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
    *,
    scale: float,
) -> None:
    """Write text with a black rim into a picture; never above its upper edge.

    The rim is the same text at the eight places around: from OpenCV 5 on, thicker letters are wider
    too and would not lie under the thin ones.

    Args:
        canvas: H×W×3 uint8 RGB; changed.
        text: What to write.
        at: Left end of the line that the letters stand on, x and y.
        colour: RGB colour of the letters.
        scale: Their size as OpenCV counts it.
    """
    thick, rim = max(1, round(2 * scale)), max(1, round(1.6 * scale))
    (_, height), _ = cv2.getTextSize(text, _FONT, scale, thick)
    left, base = at[0], max(at[1], height + rim + 2)
    for x, y in _AROUND:
        place = (left + x * rim, base + y * rim)
        cv2.putText(canvas, text, place, _FONT, scale, (0, 0, 0), thick, cv2.LINE_AA)
    cv2.putText(canvas, text, (left, base), _FONT, scale, colour, thick, cv2.LINE_AA)
