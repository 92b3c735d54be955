"""Procedural "dead leaves" pictures: opaque shapes of all sizes that occlude one another.

They share the statistics of natural pictures that restoration depends on: sharp edges at every
scale, flat and textured areas, occlusion (Lee, Mumford and Huang 2001; Achddou et al. 2021). Blades
of grass, twigs and poles lie over some: thin, and bright or dark like streaks, but part of the
scene.
"""

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["dead_leaves"]

Float = npt.NDArray[np.float32]


def _texture(rng: np.random.Generator, size: int) -> Float:
    """Noise whose power falls with frequency like that of fur or leaves, zero mean, size×size."""
    field = np.zeros((size, size), np.float32)
    slope, cells, strength = rng.uniform(0.4, 1.6), 4, 1.0
    while cells < size:
        shape = (cells, max(2, int(cells * rng.uniform(0.3, 1.0))))  # longer one way than the other
        noise = rng.standard_normal(shape[:: rng.choice([-1, 1])], dtype=np.float32)
        field += strength * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, strength = 2 * cells, strength * 2 ** -(slope - 0.8)
    field += strength * rng.standard_normal((size, size), dtype=np.float32)
    return field / max(float(field.std()), 1e-6)


def _colour(rng: np.random.Generator, saturation: float) -> list[float]:
    """Red, green, blue, and the roughness of what has this colour; each 0..255."""
    grey = rng.uniform(0, 255)
    colour = grey + saturation * (rng.uniform(0, 255, 3) - grey)
    return [*map(float, colour), float(rng.uniform(0, 255))]


def _leaf(picture: Float, rng: np.random.Generator, radius: float, colour: list[float]) -> None:
    size = picture.shape[0]
    x, y = rng.uniform(-radius, size + radius, 2)
    kind = rng.integers(3)
    if kind == 0:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.2, 1))))
        turn = float(rng.uniform(0, 360))
        cv2.ellipse(picture, (int(x), int(y)), axes, turn, 0, 360, colour, -1, cv2.LINE_8)
        return
    corners = 4 if kind == 1 else int(rng.integers(3, 7))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    stretch = np.array([1.0, rng.uniform(0.1, 1.0)])
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius * stretch
    turn = rng.uniform(0, 2 * np.pi) if kind == 2 else 0.0
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    polygon = np.round(points @ rotation.T + (x, y)).astype(np.int32)
    cv2.fillPoly(picture, [polygon], colour, cv2.LINE_8)


def _blades(picture: Float, rng: np.random.Generator, saturation: float) -> None:
    """A tuft of thin lines that lean more or less the same way."""
    size = picture.shape[0]
    count = int(np.exp(rng.uniform(np.log(5), np.log(400))))
    reach = size * rng.uniform(0.05, 0.5)
    middle = rng.uniform(0, size, 2)
    base = middle + rng.normal(size=(count, 2)) * reach
    lean = rng.uniform(0, np.pi) + rng.normal(size=count) * rng.uniform(0, 0.8)
    length = np.exp(rng.uniform(np.log(6), np.log(size / 3))) * rng.lognormal(0, 0.4, count)
    bend = rng.normal(size=count) * 0.3
    along = np.stack([np.cos(lean), np.sin(lean)], 1) * length[:, None]
    across = along[:, ::-1] * (1.0, -1.0) * bend[:, None]
    paths = np.stack([base, base + 0.5 * along + 0.5 * across, base + along], 1)
    paths = np.round(paths * 8).astype(np.int32)
    thickness = int(rng.choice([1, 1, 2, 3]))
    shades = 6
    for i in range(shades):
        cv2.polylines(
            picture,
            list(paths[i::shades]),
            False,
            _colour(rng, saturation),
            thickness,
            cv2.LINE_8,
            shift=3,
        )


def dead_leaves(rng: np.random.Generator, size: int = 512) -> npt.NDArray[np.uint8]:
    """Draw one picture, size×size×3 uint8.

    Args:
        rng: Source of all randomness.
        size: Height and width in pixels.
    """
    picture = np.zeros((size, size, 4), np.float32)  # the fourth channel: how rough a leaf is
    saturation = float(rng.beta(1.5, 3.5))
    picture[:] = _colour(rng, saturation)
    # Radii with density r^-3 look the same at every scale, but leave gaps: large leaves first.
    large = np.exp(rng.uniform(np.log(size / 25), np.log(size / 3), 160))
    u = rng.random(900)
    small = 1.0 / np.sqrt(u / 2.0**2 + (1 - u) / (size / 8) ** 2)
    radii = np.concatenate([large, small])
    if rng.random() < 0.5:
        radii = np.sort(radii)[::-1]
    for radius in radii:
        _leaf(picture, rng, float(radius), _colour(rng, saturation))
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 7))):
            _blades(picture, rng, saturation)
    rough = picture[..., 3] / 255
    texture = np.where(rough < 0.5, _texture(rng, size), _texture(rng, size))
    contrast = rng.uniform(0, 60) * np.abs(2 * rough - 1)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)[:, None, None]
    colours = picture[..., :3] + ramp * rng.normal(0, 25, 3).astype(np.float32)
    colours = cv2.GaussianBlur(colours, (0, 0), float(rng.uniform(0.4, 1.0)))
    colours += (contrast * texture)[..., None]
    return np.clip(colours, 0, 255).astype(np.uint8)
