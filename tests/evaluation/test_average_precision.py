"""Our average precision is COCO's."""

import numpy as np
import pytest

from rainclear.detection.detections import Detections
from rainclear.evaluation.average_precision import average_precision, match, precision_by_recall
from rainclear.evaluation.labels import GroundTruth

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
pytest.importorskip("faster_coco_eval")


def boxes(rng: np.random.Generator, n: int) -> np.ndarray:
    corner = rng.uniform(0, 80, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 40, (n, 2))], 1).astype(np.float32)


def scene(rng: np.random.Generator) -> tuple[Detections, GroundTruth]:
    n = int(rng.integers(0, 7))
    real, classes = boxes(rng, n), rng.integers(0, 3, n)
    near = real + rng.normal(0, 2, real.shape).astype(np.float32)
    wrong = boxes(rng, int(rng.integers(0, 6)))
    xyxy = np.concatenate([near, wrong])
    numbers = np.concatenate([classes, rng.integers(0, 3, len(wrong))])
    regions = boxes(rng, int(rng.integers(0, 3)))
    return (
        # Scores on a coarse grid, so that ties occur.
        Detections.of(xyxy, rng.integers(1, 40, len(xyxy)) / 40, numbers),
        GroundTruth(
            xyxy=real,
            classes=classes.astype(np.int64),
            ignore=regions,
            ignore_classes=rng.integers(-1, 3, len(regions)).astype(np.int64),
        ),
    )


def coco(pairs: list[tuple[Detections, GroundTruth]]) -> dict:
    from rainclear.evaluation.coco_map import torchmetrics_map

    return torchmetrics_map([p for p, _ in pairs], [t for _, t in pairs], [0, 1, 2])


def ours(pairs: list[tuple[Detections, GroundTruth]], weights: np.ndarray) -> np.ndarray:
    """K×B×10."""
    found, truth = [p for p, _ in pairs], [t for _, t in pairs]
    return np.stack([average_precision(match(found, truth, k), weights) for k in range(3)])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_torchmetrics(seed: int):
    rng = np.random.default_rng(seed)
    pairs = [scene(rng) for _ in range(25)]
    expected, found = coco(pairs), ours(pairs, np.ones((1, 25)))[:, 0]
    assert found.mean() == pytest.approx(expected["map"], abs=1e-5)
    assert found[:, 0].mean() == pytest.approx(expected["map_50"], abs=1e-5)
    assert found.mean(1) == pytest.approx(expected["map_per_class"], abs=1e-5)


def test_precision_by_recall_has_the_mean_of_average_precision():
    rng = np.random.default_rng(4)
    pairs = [scene(rng) for _ in range(25)]
    found, truth = [p for p, _ in pairs], [t for _, t in pairs]
    for k in range(3):
        curve = precision_by_recall(match(found, truth, k))
        assert curve.shape == (101,)
        assert (np.diff(curve) <= 0).all()  # the best precision at this recall or above
        assert curve.mean() == pytest.approx(ours(pairs, np.ones((1, 25)))[k, 0, 0])
    assert np.isnan(precision_by_recall(match(found, truth, 9))).all()
    nothing = [Detections.of([], [], [])] * 25
    assert not precision_by_recall(match(nothing, truth, 0)).any()


def test_weights_are_repetitions():
    rng = np.random.default_rng(7)
    pairs = [scene(rng) for _ in range(12)]
    counts = rng.integers(0, 4, 12)
    repeated = [pair for pair, n in zip(pairs, counts, strict=True) for _ in range(n)]
    found = ours(pairs, counts[None].astype(float))
    expected = ours(repeated, np.ones((1, len(repeated))))
    # Ties between pictures may fall differently where pictures repeat.
    assert found == pytest.approx(expected, abs=0.02)
    assert found.mean() == pytest.approx(expected.mean(), abs=0.002)


def intervals(table: np.ndarray) -> np.ndarray:
    """2×K×10: the ends of the 95 % intervals of a K×B×10 table."""
    return np.nanpercentile(table, [2.5, 97.5], axis=1)


def draw(rng: np.random.Generator, pictures: int) -> np.ndarray:
    return rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=300).astype(float)


def distinct(pairs: list[tuple[Detections, GroundTruth]], rng: np.random.Generator) -> None:
    """Scores without ties, of which the order would depend on repetitions."""
    for found, _ in pairs:
        found.scores[:] = rng.permutation(10**4)[: len(found.scores)] / 1e4


def test_equal_rains_on_a_picture_count_as_one():
    rng = np.random.default_rng(11)
    pairs = [scene(rng) for _ in range(20)]
    distinct(pairs, rng)
    times = 4
    repeated = [pair for pair in pairs for _ in range(times)]
    found, truth = [p for p, _ in repeated], [t for _, t in repeated]
    drawn = draw(np.random.default_rng(0), len(pairs))
    once = ours(pairs, drawn)
    clusters = np.stack(
        [average_precision(match(found, truth, k).clustered(times), drawn) for k in range(3)]
    )
    assert np.array_equal(clusters, once, equal_nan=True)
    naive = ours(repeated, draw(np.random.default_rng(0), len(repeated)))
    width, narrow = np.ptp(intervals(once), axis=0), np.ptp(intervals(naive), axis=0)
    assert narrow.mean() == pytest.approx(width.mean() / np.sqrt(times), rel=0.15)


def test_clusters_change_nothing_over_all_pictures():
    rng = np.random.default_rng(5)
    pairs = [scene(rng) for _ in range(12)]
    found, truth = [p for p, _ in pairs], [t for _, t in pairs]
    for k in range(3):
        matches = match(found, truth, k)
        clusters = matches.clustered(3)
        assert clusters.boxes.tolist() == matches.boxes.reshape(4, 3).sum(1).tolist()
        whole = average_precision(matches, np.ones((1, 12)))
        assert np.array_equal(average_precision(clusters, np.ones((1, 4))), whole)
        # A cluster alone is its three pictures.
        third = np.repeat([[0.0, 1.0, 0.0, 0.0]], 3, axis=1)
        assert average_precision(clusters, third[:, ::3]) == pytest.approx(
            average_precision(matches, third), nan_ok=True
        )


def test_region_takes_detections_and_is_no_box():
    found = [Detections.of([[0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.8], [2, 2])]
    truth = [
        GroundTruth(
            xyxy=np.float32([[50, 50, 60, 60]]),
            classes=np.array([2]),
            ignore=np.float32([[0, 0, 30, 30]]),
            ignore_classes=np.array([-1]),
        )
    ]
    assert average_precision(match(found, truth, 2), np.ones((1, 1))).min() == pytest.approx(1.0)


def test_no_box_is_nan():
    empty = GroundTruth(
        xyxy=np.zeros((0, 4), np.float32),
        classes=np.zeros(0, np.int64),
        ignore=np.zeros((0, 4), np.float32),
        ignore_classes=np.zeros(0, np.int64),
    )
    matches = match([Detections.of([[0, 0, 9, 9]], [0.5], [1])], [empty], 1)
    assert np.isnan(average_precision(matches, np.ones((2, 1)))).all()
