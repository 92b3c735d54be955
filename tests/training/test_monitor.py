import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rainclear.config import ModelSpec
from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.training import board, history
from rainclear.training.monitor import Monitor
from rainclear.training.progress import Progress

MakeSpec = Callable[..., ModelSpec]
PICTURE = np.zeros((8, 8, 3), np.uint8)


def progress(step: int, loss: float = 1.0, *, scores: dict[str, float] | None = None) -> Progress:
    return Progress(
        step=step,
        steps=6,
        losses={"final": 0.0},
        now={"final": loss, "keep": 0.5},
        seconds_per_step=2.0,
        waiting=0.5,
        lr=1e-4,
        validation=scores or {},
        pictures={"streaks: S⁺": PICTURE} if scores else {},
    )


def test_lines_are_means(tmp_path: Path, make_spec: MakeSpec) -> None:
    with Monitor(tmp_path, make_spec("training.log_every=2"), tensorboard=False) as monitor:
        for step, loss in enumerate((1.0, 3.0, 5.0, 5.0, 7.0), start=1):
            monitor(progress(step, loss))
        saved = progress(6, 9.0)
        saved.saved = True
        monitor(saved)
    rows = history.read(tmp_path / "losses.jsonl")
    assert [(row["step"], row["total"], row["final"]) for row in rows] == [
        (2, 2.5, 2.0),
        (4, 5.5, 5.0),
        (6, 8.5, 8.0),
    ]
    assert rows[0] | {"lr": 1e-4, "seconds_per_step": 2.0, "waiting": 0.5} == rows[0]


def test_a_resumed_run_overwrites_what_it_does_again(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec("training.log_every=1")
    with Monitor(tmp_path, spec, tensorboard=False) as monitor:
        for step in (1, 2, 3):
            monitor(progress(step))
    with Monitor(tmp_path, spec, step=2, tensorboard=False) as monitor:
        monitor(progress(3, 4.0))
    rows = history.read(tmp_path / "losses.jsonl")
    assert [(row["step"], row["final"]) for row in rows] == [(1, 1.0), (2, 1.0), (3, 4.0)]


def test_the_report_is_there_after_each_validation_and_after_ctrl_c(
    tmp_path: Path, make_spec: MakeSpec
) -> None:
    report = tmp_path / "report.html"
    monitor = Monitor(tmp_path, make_spec(), tensorboard=False)
    monitor(progress(1))
    assert not report.exists()
    scores = {"score": 1.0}
    monitor(progress(2, scores=scores))
    assert "streaks: S⁺" in report.read_text()
    report.unlink()
    monitor(progress(3, scores=scores))  # the same validation
    assert not report.exists()
    with pytest.raises(KeyboardInterrupt), monitor:
        raise KeyboardInterrupt
    assert "streaks: S⁺" in report.read_text()


def test_what_stopped_the_run_is_told_though_the_report_cannot_be_written(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> Path:
        raise OutputError("disk full")

    monkeypatch.setattr("rainclear.training.monitor.write_report", fail)
    with pytest.raises(ModelError, match="nan"), Monitor(tmp_path, make_spec(), tensorboard=False):
        raise ModelError("the loss became nan")
    with (
        pytest.raises(OutputError, match="full"),
        Monitor(tmp_path, make_spec(), tensorboard=False),
    ):
        pass


def test_the_pictures_stay_in_the_report_of_a_run_that_goes_on(
    tmp_path: Path, make_spec: MakeSpec
) -> None:
    report, spec = tmp_path / "report.html", make_spec()
    with Monitor(tmp_path, spec, tensorboard=False) as monitor:
        monitor(progress(6, scores={"score": 1.0}))
    before = report.read_text()
    assert "<img" in before
    with Monitor(tmp_path, spec, step=6, tensorboard=False):
        pass  # there was nothing left to do
    assert report.read_text() == before
    with Monitor(tmp_path, spec, step=6, tensorboard=False) as monitor:
        monitor(progress(7, scores={"score": 1.0}))
    assert report.read_text().count("<img") == 1  # the new one alone
    with Monitor(tmp_path, spec, tensorboard=False):
        pass  # a new run
    assert "<img" not in report.read_text()


def test_tensorboard_gets_scalars_and_pictures(tmp_path: Path, make_spec: MakeSpec) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Monitor(tmp_path, make_spec("training.log_every=1"), tensorboard=True) as monitor:
        monitor(progress(1, 0.25))
        monitor(progress(2, 0.125, scores={"gain": 3.0}))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/final")] == [(1, 0.25), (2, 0.125)]
    assert [(e.step, e.value) for e in events.Scalars("validation/gain")] == [(2, 3.0)]
    assert events.Tags()["images"] == ["streaks/S⁺"]


def test_tensorboard_is_optional(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        board.importlib.util,
        "find_spec",
        lambda name: None if name == "tensorboard" else find(name),
    )
    with Monitor(tmp_path, make_spec()) as monitor:
        monitor(progress(6, scores={"score": 1.0}))
    assert not (tmp_path / "tensorboard").exists()
    with pytest.raises(ConfigError, match=r"rainclear\[train\]"):
        Monitor(tmp_path, make_spec(), tensorboard=True)
