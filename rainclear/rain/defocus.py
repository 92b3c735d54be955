"""Defocus by the circle of confusion: a disc, or half a disc for each half of a dual pixel."""

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from rainclear.rain.streaks import Float

__all__ = ["Aperture", "defocus", "disc_kernel", "half_disc_kernels", "shrink"]

Aperture = Callable[[float], Float]
"""Gives the kernel (unit sum, odd size) of a circle of confusion of some diameter in pixels."""

_FINE = 8
_SHARP = 0.7
"""Diameter in pixels below which nothing is blurred."""
_WIDEST = 6.0
"""Larger discs are drawn at a reduced size: their edge softens by less than a sixth of them."""


@lru_cache(maxsize=256)
def half_disc_kernels(diameter: float) -> tuple[Float, Float]:
    """Point-spread functions of the left and right view of a dual pixel, mirror images.

    The left view sees through the left half of the aperture. What is nearer than the focus lies
    further right there, as a left eye sees it, and further left in the right view.

    Args:
        diameter: Of the circle of confusion in pixels; negative for what is farther than the
            focus, which swaps the sides.

    Returns:
        Two kernels of unit sum and odd size, to be convolved; their mean is the whole disc.
    """
    reach = math.ceil(abs(diameter) / 2)
    size = 2 * reach + 1
    if abs(diameter) < _SHARP:
        point = np.ones((1, 1), np.float32)
        return point, point
    fine = (np.arange(size * _FINE) + 0.5) / _FINE - size / 2
    disc = fine[:, None] ** 2 + fine**2 <= (diameter / 2) ** 2
    ahead = disc & (fine > 0)
    pixels = ahead.reshape(size, _FINE, size, _FINE).mean((1, 3))
    right = (pixels / pixels.sum()).astype(np.float32)
    left = np.ascontiguousarray(right[:, ::-1])
    return (right, left) if diameter > 0 else (left, right)


@lru_cache(maxsize=256)
def disc_kernel(diameter: float) -> Float:
    """Point-spread function of the whole aperture: an antialiased disc of unit sum."""
    left, right = half_disc_kernels(diameter)
    return np.asarray((left + right) / 2, np.float32)


def shrink(picture: Float, scale: int) -> Float:
    """Means of squares of ``scale`` pixels, H×W×C; the last repeat the edge."""
    if scale == 1:
        return picture
    height, width = picture.shape[:2]
    down, right = -height % scale, -width % scale
    if down or right:
        picture = cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE)
    size = ((width + right) // scale, (height + down) // scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _blur(layer: Float, diameter: float, aperture: Aperture) -> Float:
    if abs(diameter) < _SHARP:
        return layer
    height, width = layer.shape[:2]
    scale = math.ceil(abs(diameter) / _WIDEST)
    small = shrink(layer, scale)
    # filter2D correlates: turned round, the kernel is convolved.
    kernel = np.ascontiguousarray(aperture(round(diameter / scale, 2))[::-1, ::-1])
    soft = cv2.filter2D(small, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if scale > 1:
        size = (soft.shape[1] * scale, soft.shape[0] * scale)
        soft = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.asarray(soft, np.float32).reshape(layer.shape)


def defocus(layer: Float, diameters: Float, aperture: Aperture = disc_kernel) -> Float:
    """Blur a layer by a circle of confusion that may change from row to row.

    Args:
        layer: Premultiplied colour, or opacity, H×W×C.
        diameters: Of the circle of confusion in each row, H values in pixels, monotonic; negative
            for what is farther than the focus.
        aperture: Shape of the point-spread function.

    Returns:
        H×W×C. Discs wider than 6 pixels are drawn at a reduced size; between three of them, rows of
        a tilted glass are interpolated.
    """
    first, last = float(diameters[0]), float(diameters[-1])
    if abs(first - last) < max(1.0, 0.15 * max(abs(first), abs(last))):
        return _blur(layer, 0.5 * (first + last), aperture)
    height = layer.shape[0]
    out = np.zeros_like(layer)
    step = (last - first) / 2
    for node in range(3):
        diameter = first + node * step
        weight = np.clip(1 - np.abs((diameters - diameter) / step), 0, 1)
        rows = np.flatnonzero(weight)
        if not rows.size:
            continue
        margin = math.ceil(abs(diameter)) + 8
        low, high = int(rows[0]), int(rows[-1]) + 1
        start = max(0, low - margin)
        soft = _blur(layer[start : min(height, high + margin)], diameter, aperture)
        part = soft[low - start : high - start]
        out[low:high] += part * weight[low:high, None, None].astype(np.float32)
    return out
