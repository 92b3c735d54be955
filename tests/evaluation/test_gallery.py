import cv2
import numpy as np
import pytest

from rainclear.evaluation.gallery import Gallery
from rainclear.evaluation.scores import PictureScore, Score


def scored(name: str, gain: float, *, clip: str | None = None, rainy: float = 20.0) -> PictureScore:
    def score(value: float) -> Score:
        return Score(psnr_rgb=value, psnr_y=value, ssim_y=0.5)

    outputs = {"m": score(rainy + gain), "other": score(0)}
    return PictureScore(name=name, clip=clip, intensity=9, input=score(rainy), outputs=outputs)


def names(shots) -> list[str]:
    return [shot.score.name for shot in shots]


@pytest.fixture
def pictures() -> dict[str, np.ndarray]:
    return {"rainy": np.full((20, 1000, 3), (200, 40, 10), np.uint8)}


@pytest.mark.parametrize("order", [(3, -1, 5, 0, 4, -2, 1), (5, 4, 3, 1, 0, -1, -2)])
def test_best_and_worst_in_order(pictures, order) -> None:
    gallery = Gallery("m", 2)
    for gain in order:
        gallery.offer(scored(f"{gain}", gain), 0, pictures)
    assert names(gallery.best) == ["5", "4"]
    assert names(gallery.worst) == ["-2", "-1"]


def test_a_picture_is_shown_once(pictures) -> None:
    gallery = Gallery("m", 4)
    gallery.offer(scored("only", 1), 0, pictures)
    assert names(gallery.best) == ["only"] and gallery.worst == []


def test_neighbouring_frames_are_shown_once(pictures) -> None:
    gallery = Gallery("m", 3)
    for index in range(60):
        gallery.offer(scored(str(index), index, clip="c"), index, pictures)
    assert names(gallery.best) == ["59", "49", "24"]


def test_equal_pictures_and_an_empty_gallery(pictures) -> None:
    gallery = Gallery("m", 3)
    gallery.offer(scored("dry", 0, rainy=float("inf")), 0, pictures)
    none = Gallery("m", 0)
    none.offer(scored("a", 3), 0, pictures)
    assert gallery.best == gallery.worst == none.best == none.worst == []


def test_pictures_are_small_jpegs_of_the_right_colour(pictures) -> None:
    gallery = Gallery("m", 1)
    gallery.offer(scored("a", 3), 0, pictures)
    data = gallery.best[0].jpegs["rainy"]
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert data[:2] == b"\xff\xd8" and shown.shape == (11, 560, 3)
    assert np.abs(shown[5, 50, ::-1].astype(int) - (200, 40, 10)).max() < 8
