"""Drops on the glass: caps of water that bend the scene, out of focus, some of them running.

Water on the glass is one surface of spherical caps. The ray of a pixel leaves it by Snell's law
(:mod:`rainclear.rain.glass`) towards a background at infinity, so a drop shows a wide piece of the
scene, small and upside down, with a dark rim where Fresnel's transmittance falls. The layer of
water is blurred by the camera's circle of confusion at the glass and laid over the sharp scene.
Optics are computed where there is water only, and anew only when water moved.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rainclear.rain.camera import Camera
from rainclear.rain.defocus import Aperture, defocus, disc_kernel, shrink
from rainclear.rain.glass import DRY, Caps, paint, refract, slopes
from rainclear.rain.streaks import Float
from rainclear.rain.wetting import DropParams, WetGlass

__all__ = ["DropParams", "Drops"]


@dataclass(frozen=True, slots=True)
class _Optics:
    """What the water does to the picture, for the n pixels that are wet (padded to rows of 256)."""

    index: np.ndarray
    x: Float
    y: Float
    alpha: Float
    light: Float
    glint: Float
    shrink: int


def _fold(at: Float, size: int) -> Float:
    """Columns or rows outside a picture, mirrored into it ever more slowly: nothing repeats."""
    reach = np.float32(0.3 * size)
    below, above = np.maximum(-at, 0), np.maximum(at - (size - 1), 0)
    inside = np.clip(at, 0, size - 1)
    folded = inside + reach * (np.exp(-above / reach) - np.exp(-below / reach))
    return np.asarray(folded, np.float32)


class Drops:
    """The drops of one clip; each call of :meth:`render` is the next frame.

    Args:
        params: Kind and number of drops.
        camera: Who looks through the glass.
        rng: Source of all randomness: the same seed gives the same frames, bit for bit.
        caps: The drops of the first frame (see :data:`~rainclear.rain.glass.CAP`) instead of
            random ones.
    """

    def __init__(
        self,
        params: DropParams,
        camera: Camera,
        rng: np.random.Generator,
        *,
        caps: Caps | None = None,
    ) -> None:
        self.params, self.camera, self.rng = params, camera, rng
        self.glass = WetGlass(params, camera, rng, caps=caps)
        rows = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.focal
        #: Distance of the glass in each row, in metres.
        self.distance = self.glass.distance(rows)
        self._optics: _Optics | None = None
        self._still: Float | None = None
        self._soft: dict[Aperture, Float] = {}
        self._film = self._uneven() if params.film > 0 else None

    @property
    def caps(self) -> Caps:
        """The drops that are on the glass now."""
        return self.glass.caps

    @property
    def count(self) -> int:
        """Number of drops on the glass, those that ran together counted singly."""
        return len(self.caps)

    @property
    def diameters(self) -> Float:
        """Diameter in pixels of the glass's circle of confusion in each row.

        Positive: the glass is nearer than the focus; negative: farther.
        """
        inverse = 1 / self.distance - 1 / self.camera.focus
        return np.asarray(self.camera.aperture * self.camera.focal * inverse, np.float32)

    def _uneven(self) -> Float:
        shape = (self.camera.height, self.camera.width)
        coarse = self.rng.random((4, 6), dtype=np.float32)
        return np.clip(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)

    def _surface(self) -> Float:
        squash = float(np.cos(self.glass.tilt))
        if self._still is None:
            blank = np.full((self.camera.height, self.camera.width), DRY, np.float32)
            self._still = paint(blank, self.caps[self.caps["mobility"] == 0], squash=squash)
        moving = self.caps[self.caps["mobility"] > 0]
        return paint(self._still.copy(), moving, squash=squash) if moving.size else self._still

    def _look(self) -> _Optics:
        p, camera = self.params, self.camera
        surface = self._surface()
        steepest = np.float32(np.tan(np.radians(p.contact_angle)))
        index = np.flatnonzero(surface > -0.5 * steepest)
        count = len(index)
        if count:
            index = np.pad(index, (0, -count % 256), mode="edge")
        down, right = slopes(surface)[::-1]
        hx, hy = right.ravel()[index], down.ravel()[index] * np.float32(np.cos(self.glass.tilt))
        alpha = np.clip(surface.ravel()[index] / steepest + 0.5, 0, 1) * np.float32(p.opacity)
        row, column = np.divmod(index, camera.width)
        x = ((column - camera.cx) / camera.focal).astype(np.float32)
        y = ((row - camera.cy) / camera.focal).astype(np.float32)
        to_x, to_y, through = refract(hx, hy, x, y, tilt=self.glass.tilt)
        steep = np.minimum(np.hypot(hx, hy) / steepest, 1)
        light = through / 0.98 * (1 - p.tint) * (1 - p.rim * steep**4)
        glint = p.highlight * np.clip(-1.6 * hy / steepest - 0.6, 0, 1) ** 2
        # A drop shrinks the scene: it is sampled from one as small, lest the drop glitter.
        scale = 1
        if count:
            span = np.hypot(to_x - x, to_y - y).mean() * camera.focal
            size = np.sqrt(np.average(self.caps["radius"] ** 2, weights=self.caps["radius"]))
            scale = int(2 ** np.clip(np.round(np.log2(max(span / size, 1))), 0, 4))
            scale = min(scale, max(1, min(camera.height, camera.width) // 8))
        at_x = _fold(camera.cx + camera.focal * to_x, camera.width)
        at_y = _fold(camera.cy + camera.focal * to_y, camera.height)
        map_x, map_y = (
            np.asarray((at + 0.5) / scale - 0.5, np.float32).reshape(-1, 256) for at in (at_x, at_y)
        )
        light, glint = (np.asarray(v * alpha, np.float32)[:count, None] for v in (light, glint))
        return _Optics(index[:count], map_x, map_y, alpha[:count], light, glint, scale)

    def layer(self, scene: Float) -> tuple[Float, Float]:
        """The water of this frame before defocus: colour times opacity H×W×C, and opacity H×W.

        Args:
            scene: What is behind the glass, H×W×C in [0, 1].
        """
        if self._optics is None:
            self._optics = self._look()
            self._soft.clear()
        optics, (height, width, channels) = self._optics, scene.shape
        colour = np.zeros((height * width, channels), np.float32)
        alpha = np.zeros(height * width, np.float32)
        if len(optics.index):
            small = shrink(scene, optics.shrink)
            bent = cv2.remap(
                small, optics.x, optics.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ).reshape(-1, channels)[: len(optics.index)]
            # The brightest part of the scene is taken for the sky.
            sky = shrink(small, max(1, min(small.shape[:2]) // 8)).max((0, 1))
            bent = bent * optics.light + sky * optics.glint
            colour[optics.index] = np.minimum(bent, optics.alpha[:, None])
            alpha[optics.index] = optics.alpha
        return colour.reshape(scene.shape), alpha.reshape(height, width)

    def behind(self, scene: Float) -> Float:
        """The scene through the film between the drops, H×W×C."""
        film = 0.0 if self._film is None else self.params.film * self._film
        if self.glass.film is not None:
            film = np.minimum(film + self.glass.film, 1)
        if not isinstance(film, np.ndarray):
            return scene
        sigma = 0.003 * self.camera.focal + 0.5
        soft = cv2.GaussianBlur(scene, (0, 0), sigma)
        haze = 0.9 * soft + 0.1 * soft.mean((0, 1), keepdims=True)
        return scene + np.asarray(film, np.float32)[..., None] * (haze - scene)

    def compose(
        self, behind: Float, water: tuple[Float, Float], aperture: Aperture = disc_kernel
    ) -> tuple[Float, Float]:
        """Defocused water over what is behind it.

        Args:
            behind: Picture H×W×C.
            water: What :meth:`layer` gave for this frame.
            aperture: Shape of the circle of confusion.

        Returns:
            Picture H×W×C and opacity H×W, in [0, 1]; ``behind`` itself where there is no water.
        """
        colour, sharp = water
        if not sharp.any():
            return behind, sharp
        diameters = self.diameters
        alpha = self._soft.get(aperture)
        if alpha is None:
            soft = defocus(sharp[..., None], diameters, aperture)
            alpha = self._soft[aperture] = np.clip(soft.reshape(sharp.shape), 0, 1)
        seen = behind * cv2.merge([1 - alpha] * behind.shape[2])
        seen += defocus(colour, diameters, aperture)
        return np.clip(seen, 0, 1, out=seen), alpha

    def render(self, scene: Float) -> tuple[Float, Float]:
        """Look at ``scene`` (H×W×C in [0, 1]) through the wet glass; advances by one frame.

        Returns:
            The picture H×W×C, and the opacity of the drops H×W in [0, 1].
        """
        seen, alpha = self.compose(self.behind(scene), self.layer(scene))
        self.advance()
        return seen, alpha.copy()

    def advance(self) -> None:
        """Let 1/fps seconds pass on the glass."""
        glass = self.glass
        glass.rested = glass.unmoved = True
        glass.advance()
        if not glass.unmoved:
            self._optics = None
        if not glass.rested:
            self._still = None
