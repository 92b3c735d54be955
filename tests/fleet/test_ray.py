"""A real cluster of Ray on this machine, with two workers; one is killed at its work."""

import importlib.util
import os
import signal
import socket
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from rainclear.errors import ConfigError, DeviceError
from rainclear.fleet.plan import plan_fleet
from rainclear.fleet.pool import Watch
from rainclear.fleet.run import derain_fleet, run_plan
from rainclear.fleet.shares import Share

RAY = importlib.util.find_spec("ray") is not None


def needs_ray(test):
    """A cluster takes seconds to start, and so does each worker."""
    return pytest.mark.slow(pytest.mark.skipif(not RAY, reason="needs the extra ray")(test))


@pytest.fixture(scope="module")
def cluster():
    """Two processors' worth of a cluster, whatever the machine has."""
    from rainclear.fleet.ray_crew import RayCrew

    class Crews:
        """One cluster for all tests, as starting it takes seconds."""

        def __init__(self):
            self.first = None

        def __call__(self, settings, **options):
            try:
                crew = RayCrew(settings, workers=options.pop("workers", 2), cpus=2, **options)
            except ConfigError as error:
                if "timed out during startup" in str(error):
                    pytest.skip("the machine is too busy for Ray, which waits half a minute")
                raise
            if self.first is None:
                self.first = crew
                assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
            return crew

    crews = Crews()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        yield crews
        if crews.first:
            crews.first.__exit__(None, None, None)


@pytest.fixture
def one_thread():
    """As many threads as a worker has: sums in another order differ in the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@needs_ray
def test_with_a_killed_worker_the_frames_are_those_of_one_process(
    cluster, settings, make_video, one_thread, frames_of, files_in, tmp_path
):
    for name, count in (("a", 60), ("b/long", 300), ("c", 61)):
        make_video(f"in/{name}.mp4", pts=range(count), sound=name == "a", size=(128, 96))
    source, alone, fleet = (str(tmp_path / name) for name in ("in", "alone", "fleet"))
    assert len(derain_fleet([source], alone, settings, engine="local").done) == 3
    killed, pids, lost = [], set(), []

    def on_start(task, info):
        pids.add(info.pid)

        def on_frame(done, total, score):
            if task.source.endswith("long.mp4") and not killed:
                assert 0 < done < 300 and not (tmp_path / "fleet/b/long.mp4").exists()
                killed.append(info.pid)
                os.kill(info.pid, signal.SIGKILL)

        return on_frame

    watch = Watch(on_start=on_start, on_lost=lambda task, loss: lost.append(task.source))
    plan = plan_fleet([source], fleet, settings)
    report = run_plan(plan, cluster(settings), watch=watch, poll=0.02)
    assert killed and report.lost == 1 and lost == [str(tmp_path / "in/b/long.mp4")]
    # Two, where the other worker had done all before a new one was up.
    assert len(pids) in (2, 3) and os.getpid() not in pids
    assert [os.path.relpath(done.input, source) for done in report.done] == [
        "a.mp4",
        "b/long.mp4",
        "c.mp4",
    ]
    assert not report.failed and report.workers == 2
    assert files_in(tmp_path / "fleet") == {"a.mp4", "b/long.mp4", "c.mp4"}
    for name, count in (("a", 60), ("b/long", 300), ("c", 61)):
        wanted = frames_of(tmp_path / "alone" / f"{name}.mp4")
        assert frames_of(tmp_path / "fleet" / f"{name}.mp4") == wanted
        assert len(wanted) == count


@needs_ray
def test_errors_arrive_as_what_they_are(cluster, settings, make_video, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.mp4").write_text("no video")
    make_video("in/a.mp4")
    crew = cluster(settings, workers=1)
    assert crew.share == Share(workers=1, cpus=2)
    plan = plan_fleet([str(tmp_path / "in")], str(tmp_path / "out"), settings)
    report = run_plan(plan, crew, watch=Watch())
    ((task, error),) = report.failed
    assert str(error).startswith(f"{task.source}: not a video") and len(report.done) == 1
    with pytest.raises(DeviceError, match="the cluster has no GPU"):
        cluster(replace(settings, device="cuda"))
    with pytest.raises(ConfigError, match="room for 1 to 2 workers, not for 3"):
        cluster(settings, workers=3)


def test_no_cluster_at_the_address(settings, monkeypatch):
    from rainclear.fleet import ray_crew

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    # A process has one connection to Ray, and other tests may hold it.
    no_connection = SimpleNamespace(is_initialized=lambda: False)
    monkeypatch.setattr(ray_crew, "import_ray", lambda: no_connection)
    with pytest.raises(ConfigError, match=f"no Ray at {address}"):
        ray_crew.RayCrew(settings, address=address)


def test_without_ray(settings, monkeypatch):
    from rainclear.fleet.ray_crew import RayCrew

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"install it: pip install 'rainclear\[ray\]'"):
        RayCrew(settings)
