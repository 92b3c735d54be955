import io

import pytest
from rich.console import Console
from rich.live import Live

from rainclear.cli import train as command
from rainclear.cli.train import _table, _View
from rainclear.cli.view import console
from rainclear.training.progress import Progress


def progress(step: int, **changes) -> Progress:
    values = {
        "steps": 7200,
        "losses": {"final": 0.25, "streak_att": 0.5},
        "seconds_per_step": 2.0,
        "waiting": 0.5,
        "lr": 1e-4,
    }
    return Progress(step=step, **(values | changes))


def test_plain_lines_where_there_is_no_terminal(monkeypatch, capfd):
    monkeypatch.setattr(console, "_force_terminal", False)
    scores = {"gain": 3.25}
    with _View() as view:
        view(progress(1))
        view(progress(3600, validation=scores))
        view(progress(3601, validation=scores))
    assert capfd.readouterr().out.splitlines() == [
        "step 3600/7200  loss 0.75000  gain 3.25  2.000 s/step  waiting 25%  ETA 2 h 00 min"
    ]


def test_a_line_every_half_minute_and_at_the_end(monkeypatch, capfd):
    monkeypatch.setattr(console, "_force_terminal", False)
    now = iter([0.0, 10.0, 31.0, 31.0, 40.0, 41.0])
    monkeypatch.setattr(command.time, "monotonic", lambda: next(now))
    with _View() as view:
        view(progress(1))
        view(progress(2))
        view(progress(7200))
    steps = [line.split()[1] for line in capfd.readouterr().out.splitlines()]
    assert steps == ["2/7200", "7200/7200"]


def test_a_table_on_a_terminal(monkeypatch, capfd):
    monkeypatch.setattr(console, "_force_terminal", True)
    with _View() as view:
        view(progress(5400, validation={"gain": 3.25}, best=4.5))
    shown = capfd.readouterr().out
    for part in (
        "5400 of 7200",
        "1 h 00 min",
        "25% of it waiting",
        "streak_att",
        "3.25 dB",
        "4.50",
    ):
        assert part in shown


KINDS = ("moderate", "heavy", "storm", "windshield", "rain100h", "jrsrd")
RAIN_SCORES = {
    **{f"{side}_{kind}": 21.5 for kind in KINDS for side in ("input", "output")},
    **{"gain": 3.25, "temporal": 0.512, "dry": 44.1, "score": 2.35},
}
HALVES_SCORES = {"input": 24.0, "output": 28.5, "gain": 4.5, "ssim": 0.912, "iou": 0.734}
PARTS = ("att", "heavy", "light", "global")
LOSSES = {
    "d-daiam-rt": ["final", "keep", "temporal", "stage0", "detector"]
    + [f"{rain}_{part}" for rain in ("streak", "drop") for part in PARTS[:3]],
    "d-daiam-3": ["final", "stage0", "stage1"]
    + [f"{rain}_{p}{i}" for i in ("", "1", "2") for rain in ("streak", "drop") for p in PARTS],
    "dprrn": ["left_mask", "right_mask", "left", "right", "combined", "final"],
}


@pytest.mark.parametrize(
    ("model", "scores"),
    [("d-daiam-rt", RAIN_SCORES), ("d-daiam-3", RAIN_SCORES), ("dprrn", HALVES_SCORES)],
)
@pytest.mark.parametrize("value", [-9.87654321, -123.456789, -1.2345e38])
def test_the_table_fits_a_small_terminal(model, scores, value):
    losses = dict.fromkeys(LOSSES[model], value)
    small = Console(width=80, height=24, force_terminal=True, color_system=None, file=io.StringIO())
    with Live(console=small, refresh_per_second=0.1) as live:
        live.update(_table(progress(5400, losses=losses, validation=scores, best=2.5)))
        live.refresh()
        lines = small.render_lines(live.get_renderable(), small.options)
        shown = small.file.getvalue()
    assert len(lines) < 24
    assert "…" not in shown
    for part in (*losses, "5400 of 7200", "1 h 00 min", "2.50 dB", "learning rate 1.00e-04"):
        assert part in shown, part
    for name in scores:
        if not name.startswith(("input_", "output_")):
            assert name in shown
    for share in ("0.512", "0.912", "0.734"):
        assert f"{share} dB" not in shown


def test_scores_in_db_and_shares():
    small = Console(width=80, height=24, file=io.StringIO())
    small.print(_table(progress(5400, validation=RAIN_SCORES, best=2.5)))
    shown = small.file.getvalue()
    for part in ("2.35 dB", "44.10 dB", "0.512", "21.50 → 21.50", "windshield"):
        assert part in shown
    assert "0.512 dB" not in shown


def test_progress_before_the_first_measurement():
    assert progress(0, seconds_per_step=0.0, waiting=0.0).waiting_share == 0.0


def test_more_devices_than_gpus(rainclear, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    where = ["--data", tmp_path, "-o", tmp_path / "run"]
    result = rainclear("train", "d-daiam-rt", *where, "--accelerator", "cuda")
    assert "no CUDA" in result.error
    assert not (tmp_path / "run").exists()


def test_a_setting_without_its_section(rainclear, tmp_path):
    where = ["--data", tmp_path, "-o", tmp_path / "run"]
    result = rainclear("train", "d-daiam-rt", *where, "--set", "optim.lrr=1")
    assert "training.optim.lrr" in result.error and "'lr'" in result.error
