"""The command that reproduces the paper's tables, at the smallest size."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from rainclear.cli.reproduce import parse_duration
from rainclear.cli.reproduce_tables import complexity_table, intensity_table, scores_table
from rainclear.errors import ConfigError
from rainclear.evaluation.intensity import BINS
from rainclear.evaluation.paper import TABLES
from rainclear.evaluation.reproduced import Complexity

SMALL = ("--width", 2, "--set", "training.data.crop=32", "--set", "training.data.workers=0")


@pytest.fixture
def raindrop(tmp_path: Path) -> Path:
    """The Raindrop set with one picture a split: two networks, and no rain to generate."""
    rng = np.random.default_rng(0)
    for split in ("train", "test_a"):
        for role, name in (("data", "0_rain.png"), ("gt", "0_clean.png")):
            folder = tmp_path / "raindrop" / split / role
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / name), rng.integers(0, 256, (36, 40, 3), np.uint8))
    return tmp_path / "raindrop"


def test_two_rows_of_two_steps(rainclear, read_json, tmp_path: Path, raindrop: Path) -> None:
    out = tmp_path / "out"
    command = ("reproduce", "table5", "--data", raindrop, "-o", out, "--steps", 2, *SMALL)
    first = rainclear(*command, "--device", "cpu")
    assert first.code == 0, first.err
    text = (out / "table.md").read_text(encoding="utf-8")
    assert text.startswith("# Table 5: ")
    assert "2 steps for each network" in text
    assert "architecture.options.width=2" in text
    ours = [line for line in text.splitlines() if line.startswith(("| DAM |", "| D-DAM |"))]
    assert [line.split("|")[8].strip() for line in ours] == ["2", "2"]
    results = read_json(out / "results.json")
    by_model = {row["model"]: row for row in results["rows"] if row["model"]}
    assert by_model["d-dam"]["paper"] == {"psnr": 30.63, "ssim": 0.9268}
    assert by_model["dam"]["ours"]["pairs"] == 1
    assert by_model["dam"]["ours"]["psnr_rgb"]["output"] > 0
    assert (out / "intensity.svg").read_text(encoding="utf-8").startswith("<svg ")

    written = (out / "dam" / "last.ckpt").stat().st_mtime_ns
    again = rainclear(*command, "--device", "cpu")
    assert again.code == 0, again.err
    assert (out / "dam" / "last.ckpt").stat().st_mtime_ns == written
    assert (out / "table.md").read_text(encoding="utf-8") == text
    other = rainclear(*command[: -len(SMALL) - 1], 3, *SMALL)
    assert "another budget" in other.error


def test_table_6_is_counted(rainclear, read_json, tmp_path: Path) -> None:
    done = rainclear("reproduce", "table6", "-o", tmp_path)
    assert done.code == 0, done.err
    networks = read_json(tmp_path / "results.json")["networks"]
    assert networks["daiam"]["parameters"] == 3_607_831
    assert networks["d-daiam"]["parameters"] == 7_218_288
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| DAiAM | 3.60 | 3.608 | 890 | 891 |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("table9",),
            "no table named 'table9'; there are: table4, table5, table6, table7, figure1",
        ),
        (
            ("figure1", "--data", ".", "--steps", 3, "--set", "nonsense=1", "--device", "cpu"),
            "figure1 has no use for --steps, --set, --device; leave it out",
        ),
        (("table6", "--steps", 4), "table6 has no use for --steps; leave it out"),
        (("table6", "--data", "."), "table6 has no use for --data; leave it out"),
        (("table7",), "table7 needs --data"),
        (("table7", "--data", ".", "--budget", "soon"), "write it as 90s, 30m"),
        (("table7", "--data", ".", "--budget", "1m", "--steps", 2), "not both"),
    ],
)
def test_mistakes(rainclear, arguments: tuple[object, ...], message: str) -> None:
    assert message in rainclear("reproduce", *arguments).error


def test_the_default_budget_is_shown(rainclear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "30m]" in rainclear("reproduce", "--help").out.replace("(", "").replace(")", "")


@pytest.mark.parametrize("name", TABLES)
def test_80_columns_hold_the_names_and_figures(name: str) -> None:
    table, sides = TABLES[name], {"input": 19.114, "output": 22.234}
    scores = {"psnr_rgb": sides, "psnr_y": sides, "ssim_y": {"input": 0.7, "output": 0.8}}
    parts = [{"label": b.label, "pairs": 3200, **scores} for b in BINS]
    result = {**scores, "pairs": 16, "steps": 200_000, "seconds": 86_400, "by_intensity": parts}
    results = {str(row.model): result for row in table.ours}
    counts = {str(row.model): Complexity(parameters=1, multiply_adds=1) for row in table.ours}
    drawn = [scores_table(table, results), intensity_table(table, results)]
    for shown in (*drawn, complexity_table(table, counts)):
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(shown)
        text = console.export_text()
        assert "…" not in text
        assert all(row.method in text for row in table.ours)
        assert len(text.splitlines()) == 1 + shown.row_count  # nothing is broken over lines


def test_durations() -> None:
    assert parse_duration("90s") == 90
    assert parse_duration("30m") == 1800
    assert parse_duration("1h30m") == 5400
    for wrong in ("", "30", "0m", "m30", "1.5h", "-3m"):
        with pytest.raises(ConfigError):
            parse_duration(wrong)


def test_every_network_of_the_paper_has_a_recipe() -> None:
    from rainclear import list_models

    models = {folder.spec.name for folder in list_models()}
    rows = [row for table in TABLES.values() for row in table.ours]
    assert {row.model for row in rows} <= models
    assert [len(table.ours) for table in TABLES.values()] == [2, 2, 2, 7]
    ablation = [row.psnr for row in TABLES["table7"].rows]
    assert ablation == sorted(ablation)
