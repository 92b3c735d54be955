"""Detection evaluation with a detector that sees coloured rectangles, where all can be counted."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rainclear.detection.detections import Detections
from rainclear.errors import ConfigError, InputError
from rainclear.evaluation.average_precision import average_precision, match
from rainclear.evaluation.detection import evaluate_detection
from rainclear.evaluation.detection_scores import DetectionEvaluation
from rainclear.evaluation.detection_set import DetectionSet, open_detection_set
from rainclear.evaluation.labels import GroundTruth, read_labels
from rainclear.runtime.gate import RainReading

pytest.importorskip("torchmetrics")
pytest.importorskip("faster_coco_eval")

CAR, TRUCK = 2, 7
HEIGHT, WIDTH = 48, 96
COLOURS = {CAR: (255, 0, 0), TRUCK: (0, 0, 255)}


class Rectangles:
    """Finds pure red (car) and pure blue (truck); grey ones are hidden to it."""

    def __call__(self, frames: list[np.ndarray]) -> list[Detections]:
        return [self._one(frame) for frame in frames]

    def _one(self, frame: np.ndarray) -> Detections:
        boxes, classes = [], []
        for number, colour in COLOURS.items():
            mask = (frame == np.uint8(colour)).all(-1).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
            for x, y, w, h, _ in stats[1:]:
                boxes.append([x, y, x + w, y + h])
                classes.append(number)
        return Detections.of(boxes, np.full(len(boxes), 0.9), classes)


class Cleaner:
    """Stands for a derainer: gives hidden rectangles on the left half their colour back."""

    def __init__(self) -> None:
        self.resets = 0
        self.reading = RainReading(score=1.0)

    def reset(self) -> None:
        self.resets += 1

    def process(self, picture: np.ndarray) -> np.ndarray:
        out = picture.copy()
        left = out[:, : WIDTH // 2]
        left[(left == 90).all(-1)] = COLOURS[CAR]
        return out


def scene(folder: Path, hidden: list[int]) -> Path:
    """Four pictures with a car left, and one right; ``hidden`` ones are grey in ``images``."""
    for name in ("images", "clean", "labels"):
        (folder / name).mkdir(parents=True)
    for index in range(4):
        clean = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        rainy = clean.copy()
        lines = []
        for side, x in enumerate((8 + index, 60)):
            clean[10:30, x : x + 20] = COLOURS[CAR]
            rainy[10:30, x : x + 20] = 90 if 2 * index + side in hidden else COLOURS[CAR]
            lines.append(f"2 {(x + 10) / WIDTH} {20 / HEIGHT} {20 / WIDTH} {20 / HEIGHT}")
        (folder / "labels" / f"{index}.txt").write_text("\n".join(lines))
        for name, picture in (("images", rainy), ("clean", clean)):
            assert cv2.imwrite(str(folder / name / f"{index}.png"), picture[..., ::-1])
    return folder


def evaluate(folder: Path, **options: object) -> DetectionEvaluation:
    pictures = open_detection_set(
        folder / "images", read_labels(folder / "labels"), clean=folder / "clean"
    )
    models = {"none": None, "cleaner": Cleaner()}
    return evaluate_detection(pictures, Rectangles(), models, resamples=200, **options)


@pytest.fixture
def half_hidden(tmp_path: Path) -> Path:
    # Left cars of pictures 0 and 1, right cars of pictures 1 and 2.
    return scene(tmp_path / "set", [0, 2, 3, 5])


def test_counts(half_hidden: Path):
    result = evaluate(half_hidden)
    assert result.clean is not None
    assert result.clean.map50_95 == pytest.approx(1.0)
    # COCO's 101 recalls: 4 of 8 boxes without a false one is 51 / 101, 6 of 8 is 76 / 101.
    assert result.rainy.map50_95 == pytest.approx(51 / 101, abs=1e-6)
    gain = result.models["cleaner"]
    assert gain.score.map50 == pytest.approx(76 / 101, abs=1e-6)
    assert gain.gain == pytest.approx(25 / 101, abs=1e-6)
    assert gain.recovered == pytest.approx(25 / 50, abs=1e-6)
    assert gain.dry_regression == pytest.approx(0.0)
    low, high = gain.gain_ci95
    assert 0 <= low < gain.gain < high
    assert gain.picture_gain[0] > 0.4
    assert gain.picture_gain[2:] == (0.0, 0.0)
    control = result.models["none"]
    assert (control.gain, control.gain_ci95) == (0.0, (0.0, 0.0))


def test_json_keys(half_hidden: Path):
    data = json.loads(json.dumps(evaluate(half_hidden).as_dict(), allow_nan=False))
    keys = {"clean", "rainy", "derained.cleaner", "derained.none", "gain", "gain_ci95"}
    assert keys | {"recovered", "dry_regression"} <= set(data)
    assert data["gain"] == data["derained.cleaner"]["gain"] > 0  # the control is not the subject
    assert set(data["derained"]) == {"cleaner", "none"}
    assert all(data[f"derained.{name}"] == model for name, model in data["derained"].items())
    assert data["rainy"]["per_class"]["car"]["boxes"] == 8


class Gated(Cleaner):
    """Passes pictures that show nothing hidden, as a rain gate does."""

    def process(self, picture: np.ndarray) -> np.ndarray:
        rainy = bool((picture == 90).all(-1).any())
        self.reading = RainReading(score=float(rainy), open=rainy)
        return super().process(picture) if rainy else picture.copy()


def test_counts_what_the_gate_lets_pass(half_hidden: Path):
    labels = read_labels(half_hidden / "labels")
    pictures = open_detection_set(half_hidden / "images", labels, clean=half_hidden / "clean")
    models = {"none": None, "cleaner": Cleaner(), "gated": Gated()}
    result = evaluate_detection(pictures, Rectangles(), models, resamples=100)
    counts = {
        name: (model["derained_pictures"], model["derained_dry_pictures"])
        for name, model in result.as_dict()["derained"].items()
    }
    assert counts == {"none": (0, 0), "cleaner": (4, 4), "gated": (3, 0)}  # the last one is whole
    assert len(result.passed) == 1
    assert result.passed[0].startswith("gated: 3 of 4 rainy and 0 of 4 dry pictures were derained")
    plain = replace(pictures, clean=())
    result = evaluate_detection(plain, Rectangles(), {"gated": Gated()}, resamples=100)
    assert result.as_dict()["derained"]["gated"]["derained_dry_pictures"] is None
    assert result.passed[0].startswith("gated: 3 of 4 rainy pictures were derained")


def test_without_clean_pictures(half_hidden: Path):
    pictures = open_detection_set(half_hidden / "images", read_labels(half_hidden / "labels"))
    result = evaluate_detection(pictures, Rectangles(), {"cleaner": Cleaner()}, resamples=100)
    data = result.as_dict()
    assert (data["clean"], data["recovered"], data["dry_regression"]) == (None, None, None)
    assert data["gain"] == pytest.approx(25 / 101, abs=1e-6)


def test_pictures_are_not_a_clip(half_hidden: Path):
    cleaner = Cleaner()
    pictures = open_detection_set(half_hidden / "images", read_labels(half_hidden / "labels"))
    evaluate_detection(pictures, Rectangles(), {"cleaner": cleaner}, resamples=100)
    assert cleaner.resets == 4


def test_generated_rain_is_the_same_each_time(half_hidden: Path):
    from rainclear.rain.clip import RainClip
    from rainclear.rain.presets import preset

    labels = read_labels(half_hidden / "labels")
    pictures = open_detection_set(half_hidden / "clean", labels, rain="heavy")
    rainy, clean = pictures.read(2)
    rain = RainClip(preset("heavy", height=HEIGHT), HEIGHT, WIDTH, seed=2)
    expected = rain(clean.astype(np.float32) / np.float32(255)).rainy
    assert np.abs(rainy - expected * 255).max() <= 0.5
    assert (rainy != clean).any()
    with pytest.raises(ConfigError, match="monsoon"):
        open_detection_set(half_hidden / "clean", labels, rain="monsoon")


class Reddish(Rectangles):
    """Finds what is much more red than blue, surer of larger ones; counts pictures it is shown."""

    def __init__(self) -> None:
        self.shown = 0

    def _one(self, frame: np.ndarray) -> Detections:
        self.shown += 1
        mask = (frame[..., 0].astype(int) - frame[..., 2] > 60).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:]]
        scores = [min(0.99, area / 500 + x / 1000) for x, _, _, _, area in stats[1:]]
        return Detections.of(boxes, scores, [CAR] * len(boxes))


class Median:
    """Stands for a derainer that takes out thin streaks."""

    reading = RainReading(score=1.0)

    def reset(self) -> None:
        pass

    def process(self, picture: np.ndarray) -> np.ndarray:
        return cv2.medianBlur(picture, 3)


def rained(folder: Path, **options: int) -> DetectionSet:
    labels = read_labels(folder / "labels")
    return open_detection_set(folder / "clean", labels, rain="heavy", **options)


def precision(found: Sequence[list[Detections]], truth: list[GroundTruth]) -> float:
    """mAP50-95 of one class over several sets of the same pictures."""
    flat = [detections for one in found for detections in one]
    matches = match(flat, truth * len(found), 0)
    return float(average_precision(matches, np.ones((1, len(flat)))).mean())


def test_each_draw_is_another_rain_on_the_same_picture(half_hidden: Path):
    pictures = rained(half_hidden, draws=3)
    seen = [pictures.read(i, draw) for i in range(4) for draw in range(3)]
    for number, (_, clean) in enumerate(seen):
        assert np.array_equal(clean, seen[number - number % 3][1])
    # The rain itself, not only the pictures under it: no two draws of any two pictures share one.
    black = replace(pictures, files=(half_hidden / "black.png",) * 4)
    assert cv2.imwrite(str(black.files[0]), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    rains = {black.read(i, draw)[0].tobytes() for i in range(4) for draw in range(3)}
    assert len(rains) == 12
    assert np.array_equal(pictures.read(2, 0)[0], rained(half_hidden).read(2)[0])
    assert np.array_equal(pictures.read(2, 1)[0], rained(half_hidden, draws=2).read(2, 1)[0])


def test_one_draw_is_the_plain_bootstrap(half_hidden: Path):
    pictures = rained(half_hidden)
    result = evaluate_detection(pictures, Reddish(), {"median": Median()}, resamples=200, seed=3)
    shown = [pictures.read(i) for i in range(4)]
    rainy = Reddish()([picture for picture, _ in shown])
    derained = Reddish()([Median().process(picture) for picture, _ in shown])
    truth = [pictures.truth(i, (HEIGHT, WIDTH)) for i in range(4)]
    drawn = np.random.default_rng(3).multinomial(4, np.full(4, 1 / 4), size=200).astype(float)
    before, after = (
        average_precision(match(found, truth, CAR), drawn).mean(1) for found in (rainy, derained)
    )
    gain = result.models["median"]
    assert gain.gain > 0
    assert gain.gain_ci95 == pytest.approx(np.percentile(after - before, [2.5, 97.5]).tolist())
    assert result.extent == "4 pictures"


def test_map_is_that_of_all_draws(half_hidden: Path):
    detector = Reddish()
    pictures = rained(half_hidden, draws=3)
    result = evaluate_detection(pictures, detector, {"median": Median()}, resamples=100)
    assert detector.shown == 4 * (3 + 3) + 4 + 4  # rainy, derained; clean and its derained once
    truth = result.truth
    found = [
        [result.classes.of_detections(Reddish()([pictures.read(i, draw)[0]])[0]) for i in range(4)]
        for draw in range(3)
    ]
    single = [precision([one], truth) for one in found]
    assert len(set(single)) > 1  # or nothing is shown
    assert result.rainy.map50_95 == pytest.approx(precision(found, truth), abs=1e-6)
    assert result.rainy.per_class["car"]["boxes"] == 8
    for mine, first in zip(result.found["rainy"], found[0], strict=True):
        assert np.array_equal(mine.xyxy, first.xyxy)
    plain = evaluate_detection(rained(half_hidden), Reddish(), {"median": Median()}, resamples=100)
    assert result.clean == plain.clean
    assert result.models["median"].dry_regression == plain.models["median"].dry_regression
    assert (plain.as_dict()["draws"], result.as_dict()["draws"]) == (1, 3)


def test_equal_draws_leave_the_interval_as_it_is(half_hidden: Path):
    # Without generated rain, each draw is the same picture.
    labels = read_labels(half_hidden / "labels")
    pictures = open_detection_set(half_hidden / "images", labels, clean=half_hidden / "clean")
    once, often = (
        evaluate_detection(
            replace(pictures, draws=n), Rectangles(), {"cleaner": Cleaner()}, resamples=200
        ).models["cleaner"]
        for n in (1, 4)
    )
    assert once.gain_ci95[0] < once.gain_ci95[1]
    assert often.gain == pytest.approx(once.gain)
    assert often.gain_ci95 == once.gain_ci95
    assert often.picture_gain == once.picture_gain


def test_only_rain_can_be_drawn(half_hidden: Path):
    labels = read_labels(half_hidden / "labels")
    with pytest.raises(ConfigError, match=r"--draws 4.*--rain PRESET"):
        open_detection_set(half_hidden / "images", labels, draws=4)


def test_page_names_the_draws(half_hidden: Path):
    from rainclear.evaluation.detection_page import detection_page
    from rainclear.evaluation.detection_shots import best_and_worst

    derainer = Median()
    result = evaluate_detection(
        rained(half_hidden, draws=2), Reddish(), {"median": derainer}, resamples=100
    )
    best, worst = best_and_worst(result, "median", derainer, size=1)
    page = detection_page(result, subject="", best=best, worst=worst)
    assert "4 pictures × 2 rains;" in page
    assert page.count("over 2 rains, the first of which is shown") == len(best + worst) > 0
    assert "4 pictures;" in detection_page(evaluate(half_hidden), subject="")


def test_nothing_to_measure(half_hidden: Path, tmp_path: Path):
    labels = tmp_path / "other"
    labels.mkdir()
    (labels / "z.txt").write_text("")
    with pytest.raises(InputError, match="no picture in it has labels"):
        open_detection_set(half_hidden / "images", read_labels(labels))


def test_page_holds_everything(half_hidden: Path):
    from rainclear.evaluation.detection_page import detection_page
    from rainclear.evaluation.detection_shots import best_and_worst

    result = evaluate(half_hidden)
    best, worst = best_and_worst(result, "cleaner", Cleaner(), size=2)
    assert [shot.name for shot in best] == ["1.png", "0.png"]
    assert worst == []
    assert set(best[0].jpegs) == {"rainy", "cleaner", "clean"}
    page = detection_page(result, subject="a <b> & c", best=best, worst=worst)
    assert page.count("data:image/jpeg;base64,") == 6
    assert "a &lt;b&gt; &amp; c" in page
    assert "http" not in page.replace("http-equiv", "")


def test_boxes_are_drawn_by_what_they_are():
    from rainclear.evaluation.detection_shots import draw

    truth = GroundTruth(
        xyxy=np.float32([[10, 20, 30, 40], [60, 20, 80, 40]]),
        classes=np.array([0, 0]),
        ignore=np.float32([[125, 15, 158, 60]]),
        ignore_classes=np.array([-1]),
    )
    boxes = [[10, 20, 30, 40], [100, 20, 120, 40], [130, 20, 150, 40]]
    found = Detections.of(boxes, [0.9, 0.8, 0.7], [0, 0, 0])
    black = np.zeros((64, 160, 3), np.uint8)
    drawn = draw(black, found, truth, ("car",))
    red, green = drawn[40, [20, 70, 110], 0].astype(int), drawn[40, [20, 70, 110], 1].astype(int)
    assert (green > red).tolist() == [True, False, False]
    assert (red > 200).tolist() == [False, True, True]
    assert green[1] > 150 > green[2]  # yellow: missed; red: false
    assert np.ptp(drawn[40, 140].astype(int)) == 0  # grey: in a region to ignore
    assert not black.any()


def test_command(half_hidden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model):
    import typer
    from typer.testing import CliRunner

    import rainclear.detection
    from rainclear.cli.evaluate_detection import detection

    monkeypatch.setattr(rainclear.detection, "load_detector", lambda *_, **__: Rectangles())
    app = typer.Typer()
    app.command()(detection)
    html, figures = tmp_path / "r.html", tmp_path / "r.json"
    arguments = ["--images", half_hidden / "images", "--labels", half_hidden / "labels"]
    arguments += ["--clean", half_hidden / "clean", "--detector", "d.pt", "--model", tiny_model]
    arguments += ["--model", "none", "--json", figures, "--html", html, "--device", "cpu"]
    run = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    assert "mAP50-95" in run.output
    data = json.loads(figures.read_text())
    assert data["rainy"]["map50_95"] == pytest.approx(51 / 101, abs=1e-6)
    assert data[f"derained.{tiny_model}"] == data["derained"][str(tiny_model)]
    assert html.read_text().startswith("<!DOCTYPE html>")
    both = [*map(str, arguments), "--rain", "heavy"]
    with pytest.raises(ConfigError, match="exclude each other"):
        CliRunner().invoke(app, both, catch_exceptions=False)
