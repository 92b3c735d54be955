from dataclasses import replace

import numpy as np
import pytest

import rainclear.detection
from rainclear.detection import Detections
from rainclear.runtime.derainer import Derainer


class Watcher:
    """Finds one box in every picture, and keeps what it was shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, frames):
        self.shown += [frame.copy() for frame in frames]
        box = np.array([[8, 8, 40, 40]], np.float32)
        return [
            Detections(xyxy=box, scores=np.ones(1, np.float32), classes=np.full(1, 2))
            for _ in frames
        ]


@pytest.fixture
def watcher(monkeypatch):
    watcher = Watcher()
    monkeypatch.setattr(rainclear.detection, "load_detector", lambda *_, **__: watcher)
    return watcher


@pytest.fixture
def evaluate(rainclear, make_picture, tmp_path):
    """Measures one dry picture under the shipped model, with one label."""
    images = make_picture("images/a.png", size=(96, 64)).parent
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text("2 0.25 0.375 0.3333 0.5\n")  # the box of the watcher

    def run(*arguments):
        where = ["--images", images, "--labels", labels, "--detector", "any.pt"]
        return rainclear("evaluate", "detection", *where, "--device", "cpu", *arguments)

    return run


class Closed(Derainer):
    """A derainer whose gate, where it has one, takes everything for dry."""

    def __init__(self, *arguments, gate, **options):
        super().__init__(*arguments, gate=gate, **options)
        self.closed = gate

    @property
    def reading(self):
        return replace(super().reading, open=not self.closed)

    def process(self, rgb):
        derained = super().process(rgb)
        return rgb.copy() if self.closed else derained // 2


@pytest.mark.parametrize("gate", [False, True])
def test_the_gate_passes_dry_pictures(evaluate, watcher, monkeypatch, read_json, tmp_path, gate):
    monkeypatch.setattr("rainclear.runtime.derainer.Derainer", Closed)
    out = ["--json", tmp_path / "r.json", "--resamples", 100]
    result = evaluate(*out, "--gate" if gate else "--no-gate")
    assert (result.code, result.err) == (0, "")
    data = read_json(tmp_path / "r.json")
    assert (data["gate"], data["pictures"], data["gain"]) == (gate, 1, 0.0)
    assert data["rainy"]["map50_95"] == pytest.approx(1.0)
    assert data["derained"]["d-daiam-rt"]["derained_pictures"] == (0 if gate else 1)
    assert ("0 of 1 rainy pictures were derained" in " ".join(result.out.split())) == gate
    given, derained = watcher.shown
    assert np.array_equal(given, derained) == gate


def test_pictures_without_labels_are_told(evaluate, watcher, make_picture, read_json, tmp_path):
    make_picture("images/b.png", size=(96, 64))
    result = evaluate("--json", tmp_path / "r.json", "--resamples", 100)
    assert result.code == 0
    line = "note: 1 of 2 pictures have no labels and are left out (b.png); an empty label file"
    assert line in " ".join(result.err.split())
    data = read_json(tmp_path / "r.json")
    assert (data["pictures"], data["unlabelled_left_out"]) == (1, 1)


def test_clean_and_rain_exclude_each_other(evaluate, watcher, tmp_path):
    assert "exclude each other" in evaluate("--clean", tmp_path, "--rain", "heavy").error


def test_draws(evaluate, watcher, read_json, tmp_path):
    out = ["--json", tmp_path / "r.json", "--resamples", 100]
    result = evaluate(*out, "--rain", "heavy", "--draws", 2)
    assert (result.code, result.err) == (0, "")
    assert "1 pictures" in result.out
    assert "× 2 rains" in result.out
    data = read_json(tmp_path / "r.json")
    assert (data["draws"], data["pictures"], data["rain"]) == (2, 1, "heavy")
    clean, rainy, _, _, again, _ = watcher.shown  # each rain and what was made of it
    assert not np.array_equal(rainy, again)
    assert not np.array_equal(rainy, clean)
    watcher.shown.clear()
    assert evaluate("--rain", "heavy", "--resamples", 100).code == 0
    assert len(watcher.shown) == 4
    assert np.array_equal(watcher.shown[1], rainy)


def test_draws_need_rain(evaluate, watcher):
    assert "give clean --images and --rain PRESET" in evaluate("--draws", 4).error


@pytest.mark.parametrize("draws", [0, 51])
def test_draws_are_in_range(evaluate, watcher, draws):
    result = evaluate("--rain", "heavy", "--draws", draws)
    assert (result.code, watcher.shown) == (2, [])
    assert "'--draws'" in result.err


def test_no_figure_is_cut_off(evaluate, watcher, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = evaluate("--rain", "heavy", "--draws", 2, "--resamples", 100).out
    row = next(line for line in shown.splitlines() if line.strip().startswith("d-daiam-rt"))
    assert len(row.split()) == 9 and "…" not in row.replace(" … ", " "), shown
