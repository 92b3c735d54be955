import json
from dataclasses import replace

import pytest
import typer

from rainclear.cli.fleet import derain_on_engine
from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.fleet.plan import MANIFEST
from rainclear.fleet.pool import Watch
from rainclear.fleet.run import derain_fleet
from rainclear.fleet.settings import ModelFiles
from rainclear.runtime.options import DerainerOptions, JobOptions


@pytest.fixture
def drives(memory, make_video, make_picture):
    """Three files in storage, one of them broken."""
    memory.pipe_file("/in/b/drive.mp4", make_video(pts=range(3)).read_bytes())
    memory.pipe_file("/in/a.png", make_picture().read_bytes())
    memory.pipe_file("/in/broken.mp4", b"no video")
    return memory


def test_a_broken_file_does_not_stop_the_rest(drives, settings):
    started, ended, frames = [], [], []
    watch = Watch(
        on_start=lambda task, info: started.append(task) or (lambda *given: frames.append(given)),
        on_done=lambda task, result: ended.append(task),
    )
    report = derain_fleet(["memory://in"], "memory://out", settings, engine="local", watch=watch)
    assert [done.input for done in report.done] == ["memory://in/a.png", "memory://in/b/drive.mp4"]
    ((task, error),) = report.failed
    assert task.source == "memory://in/broken.mp4" and "not a video" in str(error)
    assert len(started) == 3 and started == ended
    assert [(done, total) for done, total, _ in frames] == [(1, 3), (2, 3), (3, 3)]
    assert drives.find("/out") == [f"/out/{MANIFEST}", "/out/a.png", "/out/b/drive.mp4"]
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["frames"] == 4 and plain["workers"] == 1 and len(plain["files"]) == 2
    assert plain["bytes"] == sum(drives.size(f"/in/{n}") for n in ("a.png", "b/drive.mp4"))
    assert plain["worker_seconds"] <= plain["seconds"]


def test_the_same_call_goes_on(drives, settings, make_video):
    derain_fleet(["memory://in"], "memory://out", settings, engine="local")
    before = drives.modified("/out/a.png")
    drives.pipe_file("/in/broken.mp4", make_video(pts=range(2)).read_bytes())
    report = derain_fleet(["memory://in"], "memory://out", settings, engine="local")
    assert [done.input for done in report.done] == ["memory://in/broken.mp4"]
    assert [task.source for task in report.skipped] == [
        "memory://in/a.png",
        "memory://in/b/drive.mp4",
    ]
    assert drives.modified("/out/a.png") == before
    nothing = derain_fleet(["memory://in"], "memory://out", settings, engine="local")
    assert not nothing.done and len(nothing.skipped) == 3
    again = replace(settings, overwrite=True)
    assert len(derain_fleet(["memory://in"], "memory://out", again, engine="local").done) == 3


def test_settings_that_contradict(drives, settings):
    def run(**options):
        derain_fleet(["memory://in"], "memory://out", settings, **options)

    with pytest.raises(ConfigError, match="no engine named 'dask'"):
        run(engine="dask")
    with pytest.raises(ConfigError, match="for --engine ray"):
        run(engine="local", workers=2)
    assert drives.find("/out") == []


def test_model_files(tiny_model, tmp_path):
    files = ModelFiles.read(str(tiny_model))
    assert files.name == "tiny" and set(files.files) == {"model.yaml", "model.safetensors"}
    assert len(repr(files)) < 200  # no weights in messages
    with pytest.raises(ModelError, match="no model named"):
        ModelFiles.read(str(tmp_path / "none"))


@pytest.fixture
def command(settings, tiny_model):
    with_ = DerainerOptions(model=str(tiny_model), device="cpu", precision="fp32")
    options = JobOptions(encode=settings.encode)

    def run(inputs, out, **given):
        nothing = {"address": None, "workers": None, "sidecar": None, "report": None}
        derain_on_engine(inputs, out, with_, options, engine="local", **nothing | given)

    return run


def test_what_the_command_says(command, drives, capfd, tmp_path):
    with pytest.raises(typer.Exit) as end:
        command(["memory:/in"], "memory:/out", report=tmp_path / "r.json")
    assert end.value.exit_code == 1
    out, err = capfd.readouterr()
    assert [line.split(" ")[0] for line in out.splitlines()] == [
        "memory://out/a.png:",
        "memory://out/b/drive.mp4:",
        "2",
    ]
    assert out.splitlines()[-1].startswith("2 files, 4 frames, 1 workers, ")
    first, second = err.splitlines()
    assert first.startswith("error: memory://in/broken.mp4: not a video")
    assert second == "1 of 3 files failed"
    assert json.loads((tmp_path / "r.json").read_text())["frames"] == 4
    with pytest.raises(typer.Exit):
        command(["memory:/in"], "memory:/out")
    assert "note: 2 files were done already" in capfd.readouterr().err


def test_what_the_command_refuses(command, drives, tmp_path):
    with pytest.raises(ConfigError, match="--sidecar"):
        command(["memory:/in"], "memory:/out", sidecar=tmp_path / "s.jsonl")
    with pytest.raises(OutputError, match="the report cannot be written"):
        command(["memory:/in/a.png"], "memory:/out", report=tmp_path / "no" / "r.json")
