"""One worker in this process, with files in fsspec's memory."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rainclear import Derainer
from rainclear.errors import DeviceError, InputError, StageError
from rainclear.fleet import worker as module
from rainclear.fleet.plan import FleetTask
from rainclear.fleet.worker import Worker, WorkerInfo
from rainclear.runtime.jobs import JobReport, derain_video


@pytest.fixture(autouse=True)
def rooms(tmp_path, monkeypatch) -> Path:
    """The folder that takes temporary files."""
    folder = tmp_path / "rooms"
    folder.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def worker(settings):
    worker = Worker(settings, device="cpu")
    info = worker.start()
    assert isinstance(info, WorkerInfo) and (info.pid, info.device) == (os.getpid(), "cpu")
    yield worker
    worker.stop()


def test_from_storage_to_storage_the_frames_are_those_of_one_process(
    worker, settings, tiny_model, memory, make_video, rooms, frames_of, tmp_path
):
    source = make_video(sound=True)
    memory.pipe_file("/in/a.mp4", source.read_bytes())
    task = FleetTask(source="memory://in/a.mp4", output="memory://out/x/a.mp4")
    report = worker.derain(task)
    assert isinstance(report, JobReport)
    assert (report.input, report.output, report.frames) == (task.source, task.output, 5)
    assert set(report.stage_seconds) == {"fetch", "decode", "model", "encode", "store"}
    assert worker.progress().frames == 5 and worker.progress().output == task.output
    wanted, got = tmp_path / "wanted.mp4", tmp_path / "got.mp4"
    alone = Derainer(str(tiny_model), device="cpu", precision="fp32", backend="eager")
    derain_video(source, wanted, derainer=alone, encode=settings.encode)
    got.write_bytes(memory.cat_file("/out/x/a.mp4"))
    assert frames_of(got) == frames_of(wanted) != frames_of(source)
    assert memory.find("/out") == ["/out/x/a.mp4"]
    (room,) = rooms.iterdir()
    assert {path.name for path in room.iterdir()} == {"lock", "model"}


def test_a_picture_of_this_machine(worker, make_picture, files_in, tmp_path):
    source = make_picture("in/a.png")
    report = worker.derain(FleetTask(source=str(source), output=str(tmp_path / "out/b/a.png")))
    assert isinstance(report, JobReport) and report.frames == 1
    assert files_in(tmp_path / "out") == {"b/a.png"}


def test_errors_name_the_file_and_not_its_copy(worker, memory):
    memory.pipe_file("/in/a.mp4", b"It rained all day.\n" * 50)
    for name, reason in (("a.mp4", "not a video"), ("b.mp4", "no such file")):
        url = f"memory://in/{name}"
        error = worker.derain(FleetTask(source=url, output="memory://out/a.mp4"))
        assert isinstance(error, InputError)
        assert str(error).startswith(url) and reason in str(error), error
        assert "rainclear-fleet" not in str(error)
    assert memory.find("/out") == []


def test_a_mistake_of_ours_fails_the_file_alone(worker, make_picture, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError("by zero")

    task = FleetTask(source=str(make_picture()), output=str(tmp_path / "out.png"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "derain_file", fail)
        error = worker.derain(task)
    assert isinstance(error, StageError) and "in.png: ZeroDivisionError: by zero" in str(error)
    assert isinstance(worker.derain(task), JobReport)


def test_stopped_in_the_middle_it_leaves_nothing(settings, make_video, rooms, monkeypatch):
    worker = Worker(settings, device="cpu")
    worker.start()
    threads = []
    real = worker._on_frame

    def on_frame(*given):
        if not threads:
            threads.append(threading.Thread(target=worker.stop))
            threads[0].start()
            assert worker._stop.wait(10)
        real(*given)

    monkeypatch.setattr(worker, "_on_frame", on_frame)
    source = make_video(pts=range(40))
    output = source.with_name("out.mp4")
    result = worker.derain(FleetTask(source=str(source), output=str(output)))
    threads[0].join(10)
    assert not threads[0].is_alive()
    assert "stopped" in str(result) and not isinstance(result, JobReport)
    assert list(rooms.iterdir()) == [] and not output.exists()


def test_what_killed_workers_left_is_removed(settings, rooms, monkeypatch):
    dead = rooms / "rainclear-fleet-dead"
    (dead / "half").mkdir(parents=True)
    (dead / "lock").touch()
    other = rooms / "another-program"
    other.mkdir()
    living = Worker(settings, device="cpu")
    living.start()
    assert dead.exists()  # too young to tell
    monkeypatch.setattr(module, "_FRESH", -1.0)
    second = Worker(settings, device="cpu")
    second.start()
    assert not dead.exists() and other.exists()
    assert len(list(rooms.iterdir())) == 3  # the living keep theirs
    for worker in (living, second):
        worker.stop()
    assert list(rooms.iterdir()) == [other]


def test_what_keeps_it_from_starting_is_returned(settings):
    assert isinstance(Worker(settings, device="cuda:77").start(), DeviceError)
    broken = replace(settings.model, files=settings.model.files | {"model.safetensors": b""})
    error = Worker(replace(settings, model=broken), device="cpu").start()
    assert "does not match the checksum" in str(error)
