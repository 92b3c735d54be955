import json
import re
import shlex
from pathlib import Path

import pytest

from rainclear.errors import ConfigError, InputError
from rainclear.fleet.cost import Footage, Machine, Speed, cost, from_report, main, number


def test_by_hand():
    # 1 PB at 8 Mbit/s and 25 frames/s: 40 kB a frame, 2.5e10 frames, 1e6 files.
    footage = Footage(bytes=1e15, bytes_per_frame=8e6 / 8 / 25, bytes_per_file=1e9, growth=0.5)
    speed = Speed(frames_per_second=100, seconds_per_file=2, scaling=0.8)
    machine = Machine(workers=10, bytes_per_second=1e9, price=3)
    result = cost(footage, speed, machine)
    assert (result.frames, result.files) == (2.5e10, 1e6)
    assert result.work_hours == pytest.approx((2.5e10 / 100 + 2e6) / 8 / 3600)
    assert result.transfer_hours == pytest.approx(1.5e15 / 1e9 / 3600)
    assert result.machine_hours == pytest.approx(result.work_hours + result.transfer_hours)
    assert result.price == pytest.approx(3 * result.machine_hours)
    assert result.hours(100) == pytest.approx(result.machine_hours / 100)
    machines = result.machines(168)
    assert result.hours(machines) <= 168 < result.hours(machines - 1)


REPORT = {
    "frames": 1000,
    "seconds": 60.0,
    "workers": 2,
    "worker_seconds": 110.0,
    "bytes": 4e6,
    "stage_seconds": {"fetch": 6.0, "decode": 9.0, "model": 90.0, "encode": 9.0, "store": 4.0},
    "files": [{}] * 5,
}


def test_from_a_report():
    footage, speed = from_report(REPORT)
    assert (footage.bytes_per_frame, footage.bytes_per_file) == (4000, 8e5)
    assert speed.frames_per_second == pytest.approx(10)
    assert speed.seconds_per_file == pytest.approx(2)


@pytest.mark.parametrize("change", [{"files": []}, {"stage_seconds": {}}, {"frames": 0}])
def test_no_report_of_a_fleet(change):
    with pytest.raises(InputError, match="no report of a fleet"):
        from_report(REPORT | change)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1PB", 1e15), ("8Mbit/s", 8e6), ("1.25 GB/s", 1.25e9), ("250", 250), ("2k", 2e3)],
)
def test_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize("text", ["", "much", "0", "-1PB", "1XB"])
def test_no_numbers(text):
    with pytest.raises(ConfigError, match="is no size"):
        number(text)


def test_the_command(tmp_path, capsys):
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(REPORT))
    main(["--report", str(path), "--volume", "1PB", "--workers", "2", "--price", "1"])
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["one worker"].strip() == "10 frames/s"
    # (2.5e11 frames / 10 + 1.25e9 files * 2 s) / 2 workers and 2e15 bytes / 1.25e9
    assert lines["machine hours"].strip() == "3,819,889"
    for arguments, message in (([], "give --report"), (["--report", "nowhere.json"], "nowhere")):
        with pytest.raises(SystemExit):
            main(arguments)
        assert message in capsys.readouterr().err


def test_the_figures_of_the_page(capsys):
    page = Path(__file__).parents[2] / "docs" / "scale.md"
    (block,) = re.findall(
        r"\$ python -m rainclear\.fleet\.cost (--bitrate .*)\n((?:.+\n)+?)```",
        page.read_text("utf-8"),
    )
    main(shlex.split(block[0]))
    printed = capsys.readouterr().out.splitlines()
    shown = block[1].splitlines()
    assert len(shown) > 2 and [line for line in shown if line not in printed] == []
