"""Object stores: real servers of their protocols on this machine, and a cluster that uses one.

moto serves S3, gcp-storage-emulator Google's storage and Azurite (npm) Azure's.
"""

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import pytest
import torch

from rainclear.errors import InputError, OutputError
from rainclear.fleet.plan import MANIFEST, plan_fleet
from rainclear.fleet.pool import Watch
from rainclear.fleet.run import derain_fleet, run_plan
from rainclear.fleet.store import Place, place

RAY = importlib.util.find_spec("ray") is not None
FILES = {"a.mp4": 90, "b/long.mp4": 300, "c.mp4": 91}
AZURITE = Path(os.environ.get("RAINCLEAR_NODE_MODULES", "node_modules")) / ".bin" / "azurite-blob"
# Azurite's own account, which its pages print.
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def skip_without(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    skip_without("s3fs", "moto", "flask")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()  # one for all servers
    yield {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "rain",
        "AWS_SECRET_ACCESS_KEY": "clear",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()


@contextmanager
def gs() -> Iterator[dict[str, str]]:
    skip_without("gcsfs", "gcp_storage_emulator")
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    yield {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "FSSPEC_GCS_TOKEN": "anon",
        "FSSPEC_GCS_PROJECT": "rain",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks Google what kind of bucket it is
    }
    server.stop()


@contextmanager
def az() -> Iterator[dict[str, str]]:
    skip_without("adlfs")
    if not AZURITE.exists():
        pytest.skip("needs Azurite: npm install azurite")
    port = free_port()
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
    server = subprocess.Popen(
        [AZURITE, "--blobPort", str(port), *options], stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield {
            "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;"
            f"AccountName=devstoreaccount1;AccountKey={AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        }
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module", params=[s3, gs, az], ids=lambda kind: kind.__name__)
def cloud(request: pytest.FixtureRequest) -> Iterator[str]:
    """The scheme of an object store that answers, and has a bucket ``fleet``."""
    scheme = request.param.__name__
    with request.param() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        kind = fsspec.get_filesystem_class(scheme)
        kind.clear_instance_cache()
        kind().mkdir("fleet")
        yield scheme
        kind.clear_instance_cache()


@pytest.fixture
def bucket(cloud: str) -> Iterator[Place]:
    """The bucket ``fleet``, empty."""
    found = place(f"{cloud}://fleet")
    yield found
    for name in found.files():
        (found / name).filesystem.rm_file((found / name).path)


def upload(folder: Path, bucket: Place) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            (bucket / f"{folder.name}/{path.relative_to(folder)}").store(path)


def test_a_folder_of_a_bucket(bucket, tmp_path):
    file = tmp_path / "source.mp4"
    file.write_bytes(b"rain")
    folder = bucket / "out"
    assert folder.files() == {} and not folder.is_folder()
    for name in ("b/[x] y.mp4", "c.mp4"):
        (folder / name).store(file)
    assert folder.files() == {"b/[x] y.mp4": 4, "c.mp4": 4} and folder.is_folder()
    found = folder / "c.mp4"
    assert found.exists() and found.size() == 4 and found.read_text() == "rain"
    assert found.fetch(tmp_path / "copy.mp4").read_bytes() == b"rain"
    file.write_bytes(b"more rain")
    found.store(file)
    assert folder.files() == {"b/[x] y.mp4": 4, "c.mp4": 9}  # and nothing beside them
    assert (folder / MANIFEST).read_text() is None


def test_errors_name_the_place(bucket, cloud, tmp_path):
    file = tmp_path / "source.mp4"
    file.write_bytes(b"rain")
    with pytest.raises(InputError, match=rf"{cloud}://fleet/x\.mp4: no such file"):
        (bucket / "x.mp4").fetch(tmp_path / "x")
    with pytest.raises(OutputError, match=rf"{cloud}://nobody/x\.mp4: "):
        place(f"{cloud}://nobody/x.mp4").store(file)


def test_from_bucket_to_bucket(bucket, settings, make_video, make_picture, frames_of, tmp_path):
    source = make_video("in/drive.mp4", sound=True)
    make_picture("in/a.png")
    upload(tmp_path / "in", bucket)
    derain_fleet([str(tmp_path / "in")], str(tmp_path / "alone"), settings, engine="local")
    inside, out = f"{bucket.url}/in", bucket / "out"
    report = derain_fleet([inside], out.url, settings, engine="local")
    assert [place(done.output).name for done in report.done] == ["a.png", "drive.mp4"]
    assert set(out.files()) == {MANIFEST, "a.png", "drive.mp4"}
    got = (out / "drive.mp4").fetch(tmp_path / "got.mp4")
    assert frames_of(got) == frames_of(tmp_path / "alone" / "drive.mp4") != frames_of(source)
    again = derain_fleet([inside], out.url, settings, engine="local")
    assert not again.done and len(again.skipped) == 2


@pytest.fixture
def cluster(cloud: str) -> Iterator[SimpleNamespace]:
    """Two nodes with a processor each: as two machines, but that they are one."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        try:
            nodes = Cluster(
                initialize_head=True,
                head_node_args={"num_cpus": 1, "object_store_memory": 2**27},
            )
            second = nodes.add_node(num_cpus=1, object_store_memory=2**27)
        except Exception as error:
            if "timed out" in str(error).lower():
                pytest.skip("the machine is too busy for Ray, which waits half a minute")
            raise
        yield SimpleNamespace(nodes=nodes, second=second, address=nodes.address)
        nodes.shutdown()


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def parent_of(pid: int) -> int:
    """The process that started another one of this machine."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.parametrize("cloud", [s3], ids=["s3"], indirect=True)
@pytest.mark.skipif(not RAY, reason="needs the extra ray")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_with_a_lost_machine_the_frames_are_those_of_one_process(
    cluster, bucket, settings, make_video, frames_of, tmp_path
):
    from rainclear.fleet.ray_crew import RayCrew

    for name, count in FILES.items():
        make_video(f"in/{name}", pts=range(count), size=(128, 96))
    upload(tmp_path / "in", bucket)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker has
    derain_fleet([str(tmp_path / "in")], str(tmp_path / "alone"), settings, engine="local")
    torch.set_num_threads(threads)
    lost, second = [], raylet_of(cluster.second)
    hosts: dict[int, int] = {}  # raylets by worker, asked once: a lost one's worker is an orphan

    def on_start(task, info):
        raylet = hosts[info.pid] if info.pid in hosts else parent_of(info.pid)
        hosts[info.pid] = raylet

        def on_frame(done, total, score):
            if raylet == second and cluster.second in cluster.nodes.worker_nodes:
                assert 0 < done < total
                cluster.nodes.remove_node(cluster.second, allow_graceful=False)

        return on_frame

    watch = Watch(on_start=on_start, on_lost=lambda task, loss: lost.append(task.source))
    plan = plan_fleet([f"{bucket.url}/in"], f"{bucket.url}/out", settings)
    with RayCrew(settings, address=cluster.address) as crew:
        assert (crew.share.workers, crew.share.cpus) == (2, 1)
        report = run_plan(plan, crew, watch=watch, poll=0.02)
    assert len(set(hosts.values())) == 2 and second in hosts.values()
    assert report.lost == 1 and len(lost) == 1 and not report.failed
    assert set((bucket / "out").files()) == set(FILES)
    for name, count in FILES.items():
        got = (bucket / "out" / name).fetch(tmp_path / "got.mp4")
        wanted = frames_of(tmp_path / "alone" / name)
        assert frames_of(got) == wanted and len(wanted) == count
