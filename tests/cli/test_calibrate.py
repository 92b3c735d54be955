import pytest

from rainclear.cli.calibrate import _repeated
from rainclear.runtime.gate import read_gate


def test_an_option_takes_all_names_up_to_the_next():
    args = ["--clean", "a", "b", "--rain", "heavy", "-o", "g", "--clean", "c", "--overwrite"]
    want = ["--clean", "a", "--clean", "b", "--rain", "heavy"]
    assert _repeated(args) == [*want, "-o", "g", "--clean", "c", "--overwrite"]


def test_calibrate_writes_a_gate_that_derain_takes(
    rainclear, tiny_model, make_picture, make_video, tmp_path, read_json
):
    clean = [make_picture(f"{i}.png", size=(96, 64)) for i in range(2)]
    gate = tmp_path / "gate.yaml"
    done = rainclear(
        *("calibrate", "--model", tiny_model, "--clean", *clean, "--rain", "storm"),
        *("--device", "cpu", "-o", gate, "--target", "0.5"),
    )
    assert "rainy frames derained" in done.out and "0.png" in done.out, done.err
    assert read_gate(gate).on == 0.5
    out, lines = tmp_path / "out.mp4", tmp_path / "rain.jsonl"
    done = rainclear(
        *("derain", make_video(), "-o", out, "--model", tiny_model, "--device", "cpu"),
        *("--gate-settings", gate, "--sidecar", lines),
    )
    assert done.code == 0, done.err
    assert "dry frames untouched" in done.out
    assert lines.read_text().count('"rain_score"') == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--clean", "a.png", "--rain", "heavy"], "say where the gate goes"),
        (["--clean", "a.png", "-o", "g.yaml"], "needs --clean FILES and --rainy FILES or --rain"),
        (["--rainy", "a.png", "-o", "g.yaml"], "needs --clean FILES"),
        (["--clean", "no.mp4", "--rain", "heavy", "-o", "g.yaml"], "no.mp4: no such file"),
    ],
)
def test_what_is_missing_is_named(rainclear, tiny_model, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in rainclear("calibrate", "--model", tiny_model, *options).error


def test_a_gate_and_no_gate_contradict(rainclear, tiny_model, make_video, tmp_path):
    error = rainclear(
        *("derain", make_video(), "-o", tmp_path / "o.mp4", "--model", tiny_model),
        *("--no-gate", "--gate-settings", "g.yaml"),
    ).error
    assert error == "--no-gate and --gate-settings contradict each other"


def test_a_gate_that_is_asked_for_must_be_there(rainclear, tiny_model, make_video, tmp_path):
    done = rainclear(
        "derain", make_video(), "-o", tmp_path / "o.mp4", "--model", tiny_model, "--gate"
    )
    assert "has no rain gate; make one: rainclear calibrate" in done.error


def test_a_missed_target_is_a_note_or_a_failure(rainclear, tiny_model, make_picture, tmp_path):
    same = make_picture("dry.png"), make_picture("wet.png")  # cannot be told apart
    options = ("--model", tiny_model, "--device", "cpu", "--clean", same[0], "--rainy", same[1])
    done = rainclear("calibrate", *options, "-o", tmp_path / "a.yaml")
    assert done.code == 0 and "note: the gate misses the target of 95%" in done.err
    done = rainclear("calibrate", *options, "-o", tmp_path / "b.yaml", "--target", "0.8")
    assert done.code == 1 and "misses the target of 80%" in done.err
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()
