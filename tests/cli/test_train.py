from rainclear.cli import train as command
from rainclear.cli.train import _View
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
