"""Deraining inside ultralytics equals deraining first and detecting afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rainclear import Derainer
from rainclear.detection.streams import StreamDerainer

pytest.importorskip("ultralytics")

OPTIONS = {"device": "cpu", "verbose": False, "conf": 1e-6, "max_det": 20, "imgsz": 64}


@pytest.fixture(scope="module")
def model(random_yolo: Path) -> Any:
    from rainclear.detection import load_yolo

    return load_yolo(random_yolo)


@pytest.fixture
def predictor(tiny_model: Path) -> type:
    from rainclear.detection import DerainPredictor

    return DerainPredictor.configured(str(tiny_model), precision="fp32")


def pictures(n: int, height: int = 48, width: int = 80) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (height, width, 3), np.uint8) for _ in range(n)]


def frames_of(path: Path) -> list[np.ndarray]:
    video, frames = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        frames.append(read[1])
    return frames


def check(
    results: list[Any],
    rainy: list[np.ndarray],
    derained: list[np.ndarray],
    model: Any,
    *,
    batch: int = 1,
) -> None:
    assert len(results) == len(rainy)
    expected: list[Any] = []
    for i in range(0, len(derained), batch):
        expected += model.predict(derained[i : i + batch], predictor=plain(), **OPTIONS)
    for result, before, after, wanted in zip(results, rainy, derained, expected, strict=True):
        assert (result.rainy == before).all()
        assert (result.orig_img == before).all()
        assert (result.derained == after).all()
        assert not (before == after).all()
        assert 0 <= result.rain_score <= 1
        assert len(result.boxes) == len(wanted.boxes) > 0
        np.testing.assert_allclose(result.boxes.xyxy, wanted.boxes.xyxy, atol=1)
        np.testing.assert_allclose(result.boxes.conf, wanted.boxes.conf, rtol=1e-4)


def plain() -> type:
    from ultralytics.models.yolo.detect import DetectionPredictor

    return DetectionPredictor


def test_pictures_in_a_list_are_stills(model: Any, predictor: type, derainer: Derainer):
    rainy = pictures(3)
    expected = []
    for picture in rainy:
        derainer.reset()
        expected.append(derainer(picture))
    results = model.predict(rainy, predictor=predictor, **OPTIONS)
    check(results, rainy, expected, model, batch=3)


def test_a_loop_over_frames_can_be_a_clip(model: Any, tiny_model: Path, derainer: Derainer):
    from rainclear.detection import DerainPredictor

    clip = DerainPredictor.configured(str(tiny_model), precision="fp32", arrays="clip")
    rainy = pictures(2)
    expected = [derainer(picture) for picture in rainy]
    found = [model.predict(picture, predictor=clip, **OPTIONS)[0] for picture in rainy]
    assert all((f.derained == e).all() for f, e in zip(found, expected, strict=True))
    derainer.reset()
    assert (derainer(rainy[1]) != expected[1]).any()  # the state counts


def test_tensor(model: Any, predictor: type, derainer: Derainer):
    import torch

    rainy = pictures(2, 64, 96)
    rgb = np.stack([picture[..., ::-1] for picture in rainy])
    tensor = torch.from_numpy(rgb.copy()).permute(0, 3, 1, 2).float() / 255
    results = model.predict(tensor, predictor=predictor, **OPTIONS)
    derained = []
    for picture in rainy:
        derainer.reset()
        derained.append(derainer(picture))
    rgb = np.stack([picture[..., ::-1] for picture in derained])
    tensor = torch.from_numpy(rgb.copy()).permute(0, 3, 1, 2).float() / 255
    expected = model.predict(tensor, predictor=plain(), **OPTIONS)
    for result, picture, after, wanted in zip(results, rainy, derained, expected, strict=True):
        assert (result.derained == after).all()
        assert result.orig_shape == picture.shape[:2]
        np.testing.assert_allclose(result.boxes.xyxy, wanted.boxes.xyxy, atol=1)


@pytest.mark.parametrize("batch", [1, 2])
def test_video_carries_state(
    model: Any, predictor: type, derainer: Derainer, make_video: Callable[..., Path], batch: int
):
    path = make_video(size=(80, 48))
    rainy = frames_of(path)
    expected = [derainer(frame) for frame in rainy]
    for _ in range(2):  # a second call begins anew
        stream = model.predict(str(path), stream=True, predictor=predictor, batch=batch, **OPTIONS)
        check(list(stream), rainy, expected, model, batch=batch)


def test_a_folder_of_files(
    model: Any,
    predictor: type,
    derainer: Derainer,
    make_video: Callable[..., Path],
    make_picture: Callable[..., Path],
):
    first, second = make_video("d/a.mp4", pts=range(2)), make_video("d/b.mp4", pts=range(2))
    still = make_picture("d/c.png")
    rainy, expected = [], []
    for frames in ([cv2.imread(str(still))], frames_of(first), frames_of(second)):
        derainer.reset()
        rainy += frames
        expected += [derainer(frame) for frame in frames]
    results = model.predict(str(first.parent), predictor=predictor, **OPTIONS)
    check(results, rainy, expected, model)


def test_streams_have_states_of_their_own(
    model: Any,
    predictor: type,
    tiny_model: Path,
    make_video: Callable[..., Path],
    tmp_path: Path,
):
    files = [make_video("a.mp4"), make_video("b.mp4", size=(80, 48))]
    listing = tmp_path / "list.streams"
    listing.write_text("\n".join(str(file) for file in files))
    results = model.predict(str(listing), predictor=predictor, stream_buffer=True, **OPTIONS)
    assert len(results) >= 6
    for slot, file in enumerate(files):
        derainer = Derainer(str(tiny_model), device="cpu", precision="fp32")
        own = results[slot::2]
        for frame, result in zip(frames_of(file), own, strict=False):
            assert (result.derained == derainer(frame)).all()


def test_slices_keep_both_pictures(model: Any, predictor: type):
    (result,) = model.predict(pictures(1), predictor=predictor, **OPTIONS)
    part = result[:1].cpu()
    assert len(part.boxes) == 1
    assert (part.derained == result.derained).all()
    assert part.rain_score == result.rain_score


def test_streams_that_ended_are_forgotten(tiny_model: Path):
    streams = StreamDerainer(str(tiny_model), device="cpu", precision="fp32")
    a, b = pictures(2)
    first = streams(a, "one").pixels
    streams(b, "one")
    streams.keep(["two"])
    assert (streams(a, "one").pixels == first).all()


@pytest.mark.parametrize("name", ["yolo11n.pt", "yolo26n.pt"])
def test_real_weights(name: str, real_weights: Callable[[str], Path], street: np.ndarray):
    from rainclear.detection import DerainPredictor, load_yolo

    yolo = load_yolo(real_weights(name))
    bgr = cv2.cvtColor(street, cv2.COLOR_RGB2BGR)
    options = {"device": "cpu", "verbose": False}
    (result,) = yolo.predict(bgr, predictor=DerainPredictor, **options)
    derained = Derainer("d-daiam-rt", device="cpu")(bgr)
    (expected,) = yolo.predict(derained, predictor=plain(), **options)
    assert len(result.boxes) > 2
    np.testing.assert_allclose(result.boxes.xyxy, expected.boxes.xyxy, atol=1)
    assert result.boxes.cls.tolist() == expected.boxes.cls.tolist()
