"""A real RTSP server, GStreamer's, killed and started again while its stream is read."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

from rainclear.runtime.live import derain_live

RATE = 50
PYTHON = "/usr/bin/python3"
"""Debian's Python, which has its bindings of GStreamer."""
SERVER = textwrap.dedent(
    """
    import sys
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer
    Gst.init(None)
    needed = ("videotestsrc", "x264enc", "rtph264pay")
    missing = [name for name in needed if Gst.ElementFactory.find(name) is None]
    if missing:
        sys.exit("GStreamer has no " + ", ".join(missing))
    if len(sys.argv) < 2:
        sys.exit()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball"
        " ! video/x-raw,width=64,height=48,framerate=RATE/1,format=I420"
        " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
        " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    factory.set_shared(True)
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()
    """
).replace("RATE", str(RATE))


def why_not() -> str | None:
    """Why this machine cannot run the server."""
    if not os.access(PYTHON, os.X_OK):
        return f"needs {PYTHON} with GStreamer"
    try:
        done = subprocess.run(
            [PYTHON, "-c", SERVER], capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return "GStreamer does not start up"
    said = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else f"needs GStreamer's RTSP server: {said[-1:]}"


class Server:
    """The server as a process, on a port that stays the same when it is started again."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/cam"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [PYTHON, "-c", SERVER, str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """As a power cut does: no word to those who are connected."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def _possible() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def server(_possible):
    running = Server()
    yield running
    running.kill()


def held() -> tuple[int, int]:
    """Threads and file handles of this process."""
    if sys.platform != "linux":
        return threading.active_count(), 0
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def slow(frames):
    """Half as fast as the camera, so that frames would pile up."""
    for frame in frames:
        time.sleep(2 / RATE)
        yield replace(frame, metadata={**frame.metadata, "rain_score": 0.5})


@pytest.mark.slow
def test_a_server_that_is_killed_twice_is_found_again(server, stamps, tmp_path):
    deaths, before = [], held()

    def on_frame(done: int, _score: float) -> None:
        if done - (deaths[-1] if deaths else 0) < 30:
            return
        if len(deaths) == 2:
            raise KeyboardInterrupt
        server.kill()
        server.start()
        deaths.append(done)

    out = tmp_path / "out.mkv"
    report = derain_live(server.url, out, slow, timeout=6.0, on_frame=on_frame)
    assert report.reconnects == 2 and report.lost is None
    assert report.frames >= 90 and report.dropped > 20
    # Without drops the last frame would be two seconds old.
    assert report.latency["p95"] < 1.0
    times = stamps(out)
    assert len(times) == report.frames and times == sorted(set(times))
    # Fewer is no leak: a thread that an earlier test left may end meanwhile.
    assert all(now <= then for now, then in zip(held(), before, strict=True))
