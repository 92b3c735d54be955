"""Cameras, network streams and picture sequences as captures."""

import socket
import threading
from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.video import live
from rainclear.video.live import (
    CameraCapture,
    SequenceCapture,
    UrlCapture,
    is_live,
    open_capture,
)


class FakeCamera:
    """Stands for cv2.VideoCapture: three blue pictures, then it is unplugged."""

    def __init__(self, device):
        self.device, self.left, self.released, self.settings = device, 3, False, {}

    def isOpened(self):
        return self.device != 9

    def set(self, key, value):
        self.settings[key] = value

    def get(self, key):
        return 20.0 if key == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        self.left -= 1
        if self.left < 0:
            return False, None
        return True, np.full((4, 6, 3), (250, 10, 20), np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def cameras(monkeypatch):
    made = []

    def make(device):
        made.append(FakeCamera(device))
        return made[-1]

    monkeypatch.setattr(
        live,
        "cv2",
        SimpleNamespace(
            VideoCapture=make,
            cvtColor=cv2.cvtColor,
            COLOR_BGR2RGB=cv2.COLOR_BGR2RGB,
            CAP_PROP_BUFFERSIZE=cv2.CAP_PROP_BUFFERSIZE,
            CAP_PROP_FPS=cv2.CAP_PROP_FPS,
        ),
    )
    return made


@pytest.mark.parametrize(("name", "device"), [("0", 0), ("/dev/video2", "/dev/video2")])
def test_a_camera_gives_rgb_with_times_until_it_is_unplugged(cameras, name, device):
    capture = open_capture(name)
    frames = []
    with pytest.raises(InputError, match="gives no more pictures"):
        for frame in capture:
            frames.append(frame)
    capture.close()
    assert cameras[0].device == device
    assert cameras[0].released
    assert len(frames) == 3
    assert tuple(frames[0].pixels[0, 0]) == (20, 10, 250)
    assert frames[0].pts == 0
    assert frames[2].pts >= frames[1].pts
    assert frames[0].time_base == Fraction(1, 1_000_000)
    assert frames[0].duration == 50_000


def test_a_camera_that_is_not_there(cameras):
    with pytest.raises(InputError, match="camera 9: there is none"):
        CameraCapture(9)
    assert cameras[0].released


def test_a_camera_can_be_cancelled(cameras):
    capture = CameraCapture(0)
    capture.cancel()
    assert list(capture) == []


def test_pictures_in_the_order_of_their_numbers(make_picture, tmp_path):
    for number in (10, 9, 100):
        make_picture(f"shot_{number}.png", size=(8 + number % 7, 8))
    make_picture("other_1.png")
    (tmp_path / "shot_11.txt").write_text("no picture")
    capture = open_capture(str(tmp_path / "shot_%03d.png"), rate=Fraction(10))
    frames = list(capture)
    assert [f.pixels.shape[1] for f in frames] == [8 + n % 7 for n in (9, 10, 100)]
    assert [f.time for f in frames] == [0.0, 0.1, 0.2]


def test_pictures_by_a_glob(make_picture, tmp_path):
    for name in ("b.png", "a.jpg", "c.bmp"):
        make_picture(name)
    assert len(list(SequenceCapture(str(tmp_path / "*")))) == 3
    with pytest.raises(InputError, match="no picture fits"):
        SequenceCapture(str(tmp_path / "*.webp"))
    with pytest.raises(InputError, match="no picture fits"):
        SequenceCapture(str(tmp_path / "x_%d.png"))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("0", True),
        ("/dev/video1", True),
        ("rtsp://host/a", True),
        ("rtsp:/host/a", True),
        ("udp://127.0.0.1:5", True),
        ("video.mp4", False),
        ("-", False),
        ("folder/0", False),
        ("123", False),
        ("C:/x", False),
    ],
)
def test_names_of_live_sources(name, answer):
    assert is_live(name) is answer


def test_a_file_is_no_live_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").write_bytes(b"")
    assert not is_live("0")


def test_other_names_are_refused():
    with pytest.raises(InputError, match="neither a camera"):
        open_capture("video.mp4")


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtsp", "tcp"])
def test_a_server_that_is_not_there(scheme):
    url = f"{scheme}://user:secret@127.0.0.1:{closed_port()}/cam"
    with pytest.raises(InputError, match="cannot be opened") as caught:
        open_capture(url, timeout=2.0)
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers():
    """It takes the connection and says nothing: the read has to time out."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam"
        with pytest.raises(InputError, match="cannot be opened"):
            UrlCapture(url, timeout=0.3)


def serve(data: bytes) -> tuple[threading.Thread, int]:
    """Send ``data`` to the first that connects, then hang up."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    server.settimeout(10)

    def work():
        with server:
            connection, _ = server.accept()
            with connection:
                connection.sendall(data)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, server.getsockname()[1]


def test_a_stream_over_a_socket(make_video, stamps):
    path = make_video("in.ts", pts=range(12), time_base=Fraction(1, 25))
    thread, port = serve(path.read_bytes())
    capture = open_capture(f"tcp:/127.0.0.1:{port}", timeout=5.0)
    frames = list(capture)
    capture.close()
    thread.join()
    assert [f.pts * f.time_base for f in frames] == stamps(path)
    assert frames[0].pixels.shape == (48, 64, 3)


def test_a_stream_that_is_cut_off(make_video):
    data = make_video("in.ts", pts=range(50)).read_bytes()
    thread, port = serve(data[: len(data) * 2 // 3])
    capture = UrlCapture(f"tcp://127.0.0.1:{port}", timeout=5.0)
    frames = list(capture)
    capture.close()
    thread.join()
    assert 0 < len(frames) < 50


def test_a_stream_without_video(tmp_path):
    path = tmp_path / "sound.ts"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mp2", rate=48000)
        for n in range(20):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1152 * 2), np.int16), format="s16", layout="stereo"
            )
            frame.sample_rate, frame.pts = 48000, n * 1152
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    thread, port = serve(path.read_bytes())
    with pytest.raises(InputError, match="has no video"):
        UrlCapture(f"tcp://127.0.0.1:{port}", timeout=5.0)
    thread.join()
