"""Water on glass: the surface of many spherical caps, and what it does to light (Snell, Fresnel).

Lengths are in pixels of the picture. The glass frame has x to the right, v down along the glass and
z away from the camera; a glass tilted by τ leans its upper edge towards the camera.
"""

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.rain.streaks import Float

__all__ = ["CAP", "DRY", "WATER", "Caps", "paint", "refract", "slopes"]

WATER = 1.333
"""Refractive index."""

DRY = -4.0
"""Height of a surface where there is no water; caps are drawn a little way below the glass."""

CAP = np.dtype(
    [
        ("x", "f4"),
        ("y", "f4"),
        ("radius", "f4"),
        ("angle", "f4"),
        ("wobble", "f4"),
        ("phase", "f4"),
        ("sag", "f4"),
        ("stretch", "f4"),
        ("mobility", "f4"),
    ]
)
"""A spherical cap of water: base ``radius`` in pixels around (``x``, ``y``), contact ``angle`` in
radians; relative amplitude ``wobble`` of its lobes, turned by ``phase``; ``sag`` of its apex
downwards, 0..1; ``stretch`` of its upper half, 1 for none; ``mobility``, 0 if it stays."""

Caps = npt.NDArray[np.void]

_OVERHANG = 1.5
_ROUND = 4
"""Half window in pixels up to which a drop is too small for its lobes to show."""
_CHUNK = 1 << 17


def _heights(caps: Caps, half: int, squash: float) -> Float:
    """Surfaces of N caps over windows of 2·half + 1 pixels around their centres, N×S×S."""
    column = {name: caps[name][:, None, None] for name in CAP.names or ()}
    offset = np.arange(-half, half + 1, dtype=np.float32)
    u = offset[None, None, :] - (column["x"] - np.rint(column["x"]))
    v = (offset[None, :, None] - (column["y"] - np.rint(column["y"]))) / np.float32(squash)
    if (caps["stretch"] != 1).any():
        v = np.where(v < 0, v / column["stretch"], v)
    square = u * u + v * v
    radius = column["radius"]
    if half > _ROUND and caps["wobble"].any():
        inverse = 1 / np.maximum(square, 1e-6)
        cos2, sin2 = (u * u - v * v) * inverse, 2 * u * v * inverse
        away = np.sqrt(inverse)
        cos3, sin3 = (cos2 * u - sin2 * v) * away, (sin2 * u + cos2 * v) * away
        p = column["phase"]
        lobes = 0.6 * (cos2 * np.cos(p) - sin2 * np.sin(p))
        lobes += 0.4 * (cos3 * np.cos(2.3 * p) - sin3 * np.sin(2.3 * p))
        square = square / np.square(1 + column["wobble"] * lobes)
    sphere = radius / np.sin(column["angle"])
    cap = np.sqrt(np.maximum(sphere * sphere - square, 0)) - sphere * np.cos(column["angle"])
    cap *= 1 + column["sag"] * np.clip(v / radius, -1, 1)
    return np.where(square < np.square(radius + _OVERHANG), cap, np.float32(DRY))


def paint(surface: Float, caps: Caps, *, squash: float = 1.0) -> Float:
    """Raise a surface H×W to the caps', in place (maximum: touching drops run together).

    Args:
        surface: Height of the water, H×W in pixels; :data:`DRY` where there is none.
        caps: The caps, in any order.
        squash: Height of a round drop over its width: the cosine of the tilt of the glass.
    """
    height, width = surface.shape
    reach = caps["radius"] * (1 + caps["wobble"]) * np.maximum(caps["stretch"], 1) + _OVERHANG
    near = (caps["x"] > -reach) & (caps["x"] < width + reach)
    near &= (caps["y"] > -reach) & (caps["y"] < height + reach)
    caps, reach = caps[near], reach[near]
    # Windows of few sizes, so that all caps of one size are drawn at once.
    classes = np.ceil(np.log(np.maximum(reach, 2)) / np.log(1.3)).astype(int)
    for kind in np.unique(classes):
        half = int(np.ceil(1.3**kind)) + 1
        group = caps[classes == kind]
        batch = max(1, _CHUNK // (2 * half + 1) ** 2)
        for start in range(0, len(group), batch):
            some = group[start : start + batch]
            windows = _heights(some, half, squash)
            lefts = (np.rint(some["x"]).astype(int) - half).tolist()
            tops = (np.rint(some["y"]).astype(int) - half).tolist()
            for window, x, y in zip(windows, lefts, tops, strict=True):
                x0, y0 = max(x, 0), max(y, 0)
                x1, y1 = min(x + 2 * half + 1, width), min(y + 2 * half + 1, height)
                if x0 < x1 and y0 < y1:
                    target = surface[y0:y1, x0:x1]
                    np.maximum(target, window[y0 - y : y1 - y, x0 - x : x1 - x], out=target)
    return surface


def slopes(surface: Float) -> tuple[Float, Float]:
    """∂h/∂x and ∂h/∂y of a surface H×W, pixels per pixel."""
    return (
        cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=0.125),
        cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=0.125),
    )


def refract(
    slope_x: Float, slope_v: Float, x: Float, y: Float, *, tilt: float = 0.0
) -> tuple[Float, Float, Float]:
    """Where the ray of a pixel goes behind the water: exact Snell at both surfaces.

    A ray keeps its tangential part over n as it enters flat glass and water, and leaves through the
    surface with normal N ∝ (−∂h/∂x, −∂h/∂v, 1): d' = n·d + (√(1 − n² (1 − (d·N)²)) − n·d·N) N.

    Args:
        slope_x: ∂h/∂x of the water, any shape.
        slope_v: ∂h/∂v along the glass, the same shape.
        x: The pixel's ray (x, y, 1) in the camera.
        y: Its second part.
        tilt: Of the glass from upright, in radians.

    Returns:
        The ray (x', y', 1) behind the glass, and the transmittance of the outer surface for
        unpolarised light (Fresnel): 0 where reflection is total.
    """
    sin, cos = np.float32(np.sin(tilt)), np.float32(np.cos(tilt))
    length = np.sqrt(1 + x * x + y * y)
    along_x = x / (WATER * length)
    along_v = (y * cos + sin) / (WATER * length)
    away = np.sqrt(1 - along_x**2 - along_v**2)
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_v**2)
    cos_in = np.maximum((away - along_x * slope_x - along_v * slope_v) * norm, 1e-3)
    square = 1 - WATER**2 * (1 - cos_in**2)
    cos_out = np.sqrt(np.maximum(square, 0))
    change = (cos_out - WATER * cos_in) * norm
    out_x = WATER * along_x - change * slope_x
    out_v = WATER * along_v - change * slope_v
    out_z = WATER * away + change
    ahead = np.maximum(out_z * cos + out_v * sin, 0.1)
    across = ((WATER * cos_in - cos_out) / (WATER * cos_in + cos_out)) ** 2
    within = ((cos_in - WATER * cos_out) / (cos_in + WATER * cos_out)) ** 2
    through = np.where(square > 0, 1 - 0.5 * (across + within), 0)
    return out_x / ahead, (out_v * cos - out_z * sin) / ahead, through.astype(np.float32)
