"""Deraining inside ultralytics equals deraining first and detecting afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rainclear import Derainer
from rainclear.config import GateSpec
from rainclear.detection.streams import StreamDerainer
from rainclear.zoo import find_model

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


def gate_of(tiny_model: Path, bias: float, **options: Any) -> GateSpec:
    """A gate for the tiny model that is always open (bias 99) or closed (-99)."""
    weights = find_model(str(tiny_model)).spec.weights
    assert weights is not None
    return GateSpec(weights_sha256=weights.sha256, bias=bias, **options)


@pytest.fixture
def closed(tiny_model: Path) -> type:
    """A predictor to which every picture is dry."""
    from rainclear.detection import DerainPredictor

    gate = gate_of(tiny_model, -99)
    return DerainPredictor.configured(str(tiny_model), precision="fp32", gate=gate)


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
    assert part.reading == result.reading


def check_untouched(results: list[Any], rainy: list[np.ndarray], expected: list[Any]) -> None:
    """The detector found exactly what it finds without deraining."""
    assert len(results) == len(rainy) == len(expected)
    for result, before, wanted in zip(results, rainy, expected, strict=True):
        assert (result.rainy == before).all() and (result.derained == before).all()
        assert result.reading.open is False and result.rain_score < 0.01
        assert len(wanted.boxes) > 0
        np.testing.assert_array_equal(result.boxes.data, wanted.boxes.data)


def test_dry_arrays_pass_bit_for_bit(model: Any, closed: type):
    rainy = pictures(3)
    expected = model.predict(rainy, predictor=plain(), **OPTIONS)
    check_untouched(model.predict(rainy, predictor=closed, **OPTIONS), rainy, expected)


@pytest.mark.parametrize("stream", [False, True])
def test_dry_files_pass_bit_for_bit(
    model: Any,
    closed: type,
    make_video: Callable[..., Path],
    make_picture: Callable[..., Path],
    stream: bool,
):
    video, still = make_video(size=(80, 48), pts=range(3)), make_picture()
    for path, rainy in ((video, frames_of(video)), (still, [cv2.imread(str(still))])):
        expected = model.predict(str(path), predictor=plain(), **OPTIONS)
        found = model.predict(str(path), predictor=closed, stream=stream, **OPTIONS)
        check_untouched(list(found), rainy, expected)


def test_dry_tensors_keep_what_eight_bits_cannot_hold(model: Any, closed: type):
    import torch

    tensor = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    seen = []

    class Watched(closed):  # type: ignore[misc, valid-type]
        def inference(self, im: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(im.clone())
            return super().inference(im, *args, **kwargs)

    results = model.predict(tensor, predictor=Watched, **OPTIONS)
    assert torch.equal(seen[-1], tensor)
    assert [result.reading.open for result in results] == [False, False]


def test_an_open_gate_and_none_give_the_same(model: Any, predictor: type, tiny_model: Path):
    from rainclear.detection import DerainPredictor

    rainy, open_ = pictures(2), gate_of(tiny_model, 99)
    gated = DerainPredictor.configured(str(tiny_model), precision="fp32", gate=open_)
    with_gate = model.predict(rainy, predictor=gated, **OPTIONS)
    for a, b in zip(with_gate, model.predict(rainy, predictor=predictor, **OPTIONS), strict=True):
        assert a.reading.open and a.rain_score > 0.99
        assert (a.derained == b.derained).all()


def test_every_stream_has_a_gate_of_its_own(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    gate = gate_of(tiny_model, 0, on=0.5, off=0.3, hold=2)
    streams = StreamDerainer(str(tiny_model), device="cpu", precision="fp32", gate=gate)
    script = {
        # Opens at once, closes after two frames below ``off``; a still has no memory.
        "one": ([0.9, 0.1, 0.4, 0.1, 0.1, 0.4], [True, True, True, True, False, False]),
        "two": ([0.1, 0.4, 0.6, 0.1, 0.1, 0.9], [False, False, True, True, False, True]),
        None: ([0.9, 0.1, 0.9, 0.4, 0.6, 0.1], [True, False, True, False, True, False]),
    }
    scores = iter([scores[i] for i in range(6) for scores, _ in script.values()])
    monkeypatch.setattr("rainclear.runtime.gate.score_of", lambda *_, **__: next(scores))
    (frame,) = pictures(1)
    for i in range(6):
        for name, (wanted, opened) in script.items():
            picture = streams(frame, name)
            assert (picture.reading.open, picture.rain_score) == (opened[i], wanted[i])
            assert (picture.pixels == frame).all() != opened[i]


def test_the_gate_is_the_models_own_unless_it_is_switched_off():
    options = {"device": "cpu", "precision": "fp32"}
    (frame,) = pictures(1)
    own = StreamDerainer("d-daiam-rt", **options)(frame, None)
    off = StreamDerainer("d-daiam-rt", gate=False, **options)(frame, None)
    for picture, gate in ((own, True), (off, False)):
        derainer = Derainer("d-daiam-rt", gate=gate, **options)
        assert (derainer(frame) == picture.pixels).all() and derainer.reading == picture.reading
    assert own.rain_score != off.rain_score


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
    derainer = Derainer("d-daiam-rt", device="cpu", gate=None)
    (expected,) = yolo.predict(derainer(bgr), predictor=plain(), **options)
    assert result.reading == derainer.reading
    assert len(result.boxes) > 2
    np.testing.assert_allclose(result.boxes.xyxy, expected.boxes.xyxy, atol=1)
    assert result.boxes.cls.tolist() == expected.boxes.cls.tolist()


def test_tracks_keep_both_pictures(real_weights: Callable[[str], Path], street: np.ndarray):
    pytest.importorskip("lap")
    from rainclear.detection import DerainPredictor, load_yolo

    yolo = load_yolo(real_weights("yolo11n.pt"))
    clip = DerainPredictor.configured(arrays="clip", precision="fp32", gate=False)
    derainer = Derainer(device="cpu", precision="fp32")
    bgr = cv2.cvtColor(street, cv2.COLOR_RGB2BGR)
    for _ in range(2):
        options = {"persist": True, "imgsz": 320, "device": "cpu", "verbose": False}
        (result,) = yolo.track(bgr, predictor=clip, **options)
        assert (result.derained == derainer(bgr)).all() and (result.rainy == bgr).all()
        assert result.reading == derainer.reading
    assert result.boxes.id is not None and len(result.boxes.id) > 2
