import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rainclear.evaluation.classes import Classes
from rainclear.evaluation.detection_page import detection_page
from rainclear.evaluation.detection_scores import DetectionEvaluation, ModelGain, Score
from rainclear.evaluation.detection_set import DetectionSet
from rainclear.evaluation.labels import GroundTruth, read_labels


def score(level: float) -> Score:
    return Score(
        map50_95=level,
        map50=level,
        per_class={"car": {"map50_95": level, "map50": level, "boxes": 1}},
        by_overlap=(level,) * 10,
        by_recall=tuple(np.linspace(1, 1 - level, 101).tolist()),
    )


def gain(level: float, **settings: Any) -> ModelGain:
    values: dict[str, Any] = {"derained": 1, "derained_dry": None, **settings}
    return ModelGain(
        score=score(level),
        gain=0.0,
        gain_ci95=(0.0, 0.0),
        recovered=None,
        dry_regression=None,
        per_class={"car": {"gain": 0.0, "gain_ci95": [0.0, 0.0]}},
        picture_gain=(0.0,),
        **values,
    )


@pytest.fixture
def make_page(tmp_path: Path):
    def make(
        clean: Score | None = None, unlabelled: tuple[Path, ...] = (), **models: ModelGain
    ) -> str:
        (tmp_path / "a.txt").touch()
        labels = read_labels(tmp_path)
        nothing = np.zeros((0, 4), np.float32)
        truth = GroundTruth(
            xyxy=np.float32([[0, 0, 9, 9]]),
            classes=np.array([2]),
            ignore=nothing,
            ignore_classes=np.zeros(0, np.int64),
        )
        result = DetectionEvaluation(
            pictures=DetectionSet(files=(Path("a.png"),), labels=labels, unlabelled=unlabelled),
            classes=Classes.of([truth]),
            clean=clean,
            rainy=score(0.4),
            models=models,
            truth=[truth],
            found={},
        )
        return detection_page(result, subject="")

    return make


@pytest.mark.parametrize("clean", [None, score(0.9)])
def test_every_curve_shows_in_dark_mode(make_page, clean: Score | None):
    page = make_page(clean, none=gain(0.4), better=gain(0.6))
    curves = re.findall(r'<polyline [^>]*style="stroke:([^";]*)(;stroke-dasharray[^"]*)?"', page)
    assert len(curves) == 2 * (3 + (clean is not None))  # by overlap, by recall
    assert "#17202b" not in page.split("<body>")[1]
    rainy, none, better = curves[:4][clean is not None :][:3]
    assert rainy == ("var(--ink)", "")  # of the page, whether it is light or dark
    assert none[1] and not better[1]  # dashed, as the control lies on the rainy curve
    assert len({colour for colour, _ in curves}) == len(curves) // 2
    assert re.findall(r"border:2px dashed ([^\"]*)\"></i>derained, none<", page) == [none[0]]


def test_curves_lie_within_the_chart(make_page):
    page = make_page(score(1.0), better=gain(0.0))
    lines = re.findall(r'<polyline points="([^"]*)"', page)
    assert [len(line.split()) for line in lines] == [10] * 3 + [101] * 3
    points = np.array([p.split(",") for line in lines for p in line.split()], float)
    assert points.min(0).tolist() >= [0, 0]
    assert (points.max(0) <= [640, 300]).all()


def test_pictures_without_labels(make_page):
    page = make_page(unlabelled=(Path("b<1>.png"),), better=gain(0.6))
    assert "1 of 2 pictures have no labels and are left out (b&lt;1&gt;.png)" in page
    assert "no labels" not in make_page(better=gain(0.6))


def test_what_the_gate_let_pass(make_page):
    assert "the rain gate let the others pass" in make_page(better=gain(0.6, derained=0))
    assert "the rain gate let" not in make_page(better=gain(0.6), none=gain(0.4, derained=0))
