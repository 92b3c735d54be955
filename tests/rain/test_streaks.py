"""Streaks have the length, direction and density asked for, and are drawn anew each frame."""

import cv2
import numpy as np
import pytest

from rainclear.rain.streaks import StreakLayer, Streaks

LINES = StreakLayer(density=0.02, length=24, width=1.0, angle=0, wander=0, opacity=1.0)
NOISE = StreakLayer(
    family="noise", density=0.12, length=24, width=1.0, angle=0, wander=0, opacity=1.0
)


def with_(layer: StreakLayer, **changes: object) -> StreakLayer:
    return StreakLayer(**({name: getattr(layer, name) for name in layer.__slots__} | changes))


def render(
    layer: StreakLayer, *, seed: int = 0, height: int = 256, width: int = 256, frames: int = 1
) -> list[np.ndarray]:
    streaks = Streaks([layer], height, width, np.random.default_rng(seed))
    return [streaks.render() for _ in range(frames)]


def direction(alpha: np.ndarray) -> float:
    """Direction along the streaks by the structure tensor: degrees from down, positive right."""
    gx, gy = cv2.Sobel(alpha, cv2.CV_32F, 1, 0), cv2.Sobel(alpha, cv2.CV_32F, 0, 1)
    tensor = np.array([[(gx * gx).sum(), (gx * gy).sum()], [(gx * gy).sum(), (gy * gy).sum()]])
    x, y = np.linalg.eigh(tensor)[1][:, 0]  # least change: along the streak
    return float(np.degrees(np.arctan(x / y)))


def extents(alpha: np.ndarray) -> np.ndarray:
    """Lengths in pixels of the streaks that touch neither the edge nor, as far as one can tell,
    another streak."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.1).astype(np.uint8))
    boxes = stats[1:count]
    x, y, w, h = boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]
    height, width = alpha.shape
    whole = (x > 0) & (y > 0) & (x + w < width) & (y + h < height)
    return np.hypot(w, h)[whole]


@pytest.mark.parametrize("family", [LINES, NOISE], ids=lambda layer: layer.family)
@pytest.mark.parametrize("angle", [-40, 0, 25])
def test_direction(family: StreakLayer, angle: float) -> None:
    alpha = render(with_(family, angle=angle))[0]
    assert direction(alpha) == pytest.approx(angle, abs=5)


@pytest.mark.parametrize("length", [12, 30])
def test_length_of_lines(length: float) -> None:
    found = np.concatenate(
        [extents(a) for a in render(with_(LINES, length=length, density=0.005), frames=20)]
    )
    assert len(found) > 50
    assert np.median(found) == pytest.approx(length, rel=0.2)


def test_streaks_open_out_from_the_vanishing_point() -> None:
    alpha = np.max(render(with_(LINES, opening=25), frames=4), axis=0)
    assert direction(alpha[:, :80]) < -5
    assert direction(alpha[:, -80:]) > 5


@pytest.mark.parametrize("layer", [LINES, NOISE], ids=lambda layer: layer.family)
def test_consecutive_frames_are_not_correlated(layer: StreakLayer) -> None:
    first, second = (a - a.mean() for a in render(layer, frames=2))
    correlation = (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
    assert abs(correlation) < 0.1
    assert first.std() > 0.01


@pytest.mark.parametrize("layer", [LINES, NOISE], ids=lambda layer: layer.family)
def test_density_and_opacity_raise_what_is_hidden(layer: StreakLayer) -> None:
    hidden = [render(with_(layer, density=d))[0].mean() for d in (0.01, 0.05, 0.2)]
    assert hidden == sorted(hidden)
    assert hidden[0] < 0.5 * hidden[-1]
    weak = render(with_(layer, opacity=0.3))[0]
    assert weak.max() <= 0.3 + 1e-6
    np.testing.assert_allclose(weak, 0.3 * render(layer)[0], atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layer", [LINES, NOISE], ids=lambda layer: layer.family)
def test_no_density_no_streaks(layer: StreakLayer) -> None:
    assert not render(with_(layer, density=0.0), height=40, width=40)[0].any()


@pytest.mark.parametrize("layer", [LINES, NOISE], ids=lambda layer: layer.family)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (9, 33)])
def test_a_picture_shorter_than_a_streak(layer: StreakLayer, size: tuple[int, int]) -> None:
    for alpha in render(with_(layer, length=70, angle=20), height=size[0], width=size[1], frames=3):
        assert alpha.shape == size
        assert alpha.dtype == np.float32
        assert alpha.min() >= 0
        assert alpha.max() <= 1


def test_wander_turns_the_rain_from_frame_to_frame() -> None:
    turned = [direction(a) for a in render(with_(LINES, wander=8, density=0.05), frames=8)]
    steady = [direction(a) for a in render(with_(LINES, wander=0, density=0.05), frames=8)]
    assert np.std(turned) > 3 * np.std(steady)


def test_layers_cover_one_another() -> None:
    both = Streaks([LINES, NOISE], 96, 96, np.random.default_rng(0)).render()
    one = Streaks([LINES], 96, 96, np.random.default_rng(0)).render()
    assert (both >= one - 1e-6).all()
    assert both.mean() > one.mean()
