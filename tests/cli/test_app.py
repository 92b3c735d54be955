import subprocess
import sys

import pytest

import rainclear as package
from rainclear.cli import models as models_command
from rainclear.cli.view import errors, frame_progress

COMMANDS = [
    "calibrate",
    "data",
    "demo",
    "derain",
    "derain-dual",
    "detect",
    "doctor",
    "evaluate",
    "explain",
    "export",
    "models",
    "reproduce",
    "run",
    "serve",
    "synth",
    "train",
]


def test_version(rainclear):
    assert rainclear("--version").out == f"{package.__version__}\n"


def test_help_of_every_command_works_and_does_not_load_torch():
    code = (
        "import sys\n"
        "from rainclear.cli.app import main\n"
        f"for command in [[], *([c] for c in {COMMANDS})]:\n"
        "    sys.argv = ['rainclear', *command, '--help']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code\n"
        "sys.argv = ['rainclear', 'models']\n"
        "main_code = None\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('loaded:', [m for m in ('torch', 'cv2', 'av', 'ultralytics') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded: []\n")
    assert done.stdout.count("Usage:") == len(COMMANDS) + 1
    for option in ("--compare", "--report", "--frames", "--resume"):
        assert option in done.stdout


def test_no_arguments_show_the_help(rainclear):
    result = rainclear()
    shown = result.out + result.err
    assert "Usage:" in shown and all(command in shown for command in COMMANDS)


def test_unknown_command(rainclear):
    result = rainclear("dry")
    assert result.code == 2 and "dry" in result.err


def test_models_lists_d_daiam_rt(rainclear):
    result = rainclear("models")
    assert result.code == 0 and "d-daiam-rt" in result.out


def test_models_shows_a_card_as_it_is_written(rainclear, tiny_model, tmp_path, monkeypatch):
    assert rainclear("models", tiny_model).out.strip() == "random weights"
    (tmp_path / "model.yaml").write_text((tiny_model / "model.yaml").read_text())
    card = "# Card\n\nSee [data](https://example.org) " + "and more " * 20 + "\n[/end]\n"
    (tmp_path / "README.md").write_text(card)
    assert rainclear("models", tmp_path).out.strip() == card.strip()
    assert models_command.models.__doc__


def test_models_with_an_unknown_name(rainclear):
    assert "no model named 'drain'" in rainclear("models", "drain").error


def test_train_with_an_unknown_recipe(rainclear, tmp_path):
    result = rainclear("train", "drain", "--data", tmp_path, "-o", tmp_path / "run")
    assert "no model named 'drain' to train" in result.error
    assert not (tmp_path / "run").exists()


def test_train_with_a_misspelt_setting(rainclear, tmp_path):
    where = ["--data", tmp_path, "-o", tmp_path / "run"]
    result = rainclear("train", "d-daiam-rt", *where, "--set", "training.optim.lrr=1")
    assert "training.optim.lrr" in result.error and "'lr'" in result.error


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_drawn_on_a_terminal_alone(monkeypatch, capfd, terminal):
    monkeypatch.setattr(errors, "_force_terminal", terminal)
    with frame_progress() as progress:
        progress.update(progress.add_task("[b]a.mp4", total=2, score=0.5), completed=2)
    out, err = capfd.readouterr()
    assert out == "" and ("[b]a.mp4" in err) is terminal
