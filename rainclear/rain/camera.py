"""The camera that rain is seen through: intrinsics, exposure and depth of field, in real units."""

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Camera", "Optics"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Optics:
    """A camera apart from the size of its pictures; the defaults are those of a dashcam by day.

    Attributes:
        fov: Horizontal field of view in degrees.
        fps: Frames a second.
        exposure: Exposure time in seconds.
        aperture: Diameter of the entrance pupil in metres.
        focus: Distance in focus in metres; ``inf`` for a fixed-focus camera looking ahead.
    """

    fov: float = 60.0
    fps: float = 25.0
    exposure: float = 0.005
    aperture: float = 0.002
    focus: float = float("inf")


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """A pinhole with a finite aperture: x to the right, y down, z ahead.

    Attributes:
        height: Height of the picture, or of the crop that is rendered, in pixels.
        width: Width in pixels.
        focal: Focal length in pixels.
        cx: Column of the principal point in pixels; it may lie outside a crop.
        cy: Row of the principal point in pixels.
        fps: Frames a second.
        exposure: Exposure time in seconds.
        aperture: Diameter of the entrance pupil in metres.
        focus: Distance in focus in metres.
    """

    height: int
    width: int
    focal: float
    cx: float
    cy: float
    fps: float = 25.0
    exposure: float = 0.005
    aperture: float = 0.002
    focus: float = float("inf")

    @classmethod
    def of(cls, optics: Optics, height: int, width: int) -> "Camera":
        """The camera whose whole picture is ``height`` × ``width``, centred on its axis."""
        return cls(
            height=height,
            width=width,
            focal=0.5 * width / float(np.tan(np.radians(optics.fov) / 2)),
            cx=width / 2,
            cy=height / 2,
            fps=optics.fps,
            exposure=optics.exposure,
            aperture=optics.aperture,
            focus=optics.focus,
        )

    def crop(self, x: float, y: float, width: int, height: int) -> "Camera":
        """The same camera, of which only a window is rendered; ``x``, ``y`` is its corner."""
        return replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def blur(self, distance: float) -> float:
        """Diameter in pixels of the circle of confusion of a point ``distance`` metres away."""
        return self.aperture * self.focal * abs(1.0 / distance - 1.0 / self.focus)
