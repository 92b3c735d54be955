"""A network camera on the loopback, killed twice: a small RTSP server made of sockets alone."""

import base64
import re
import socket
import struct
import threading
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest

from rainclear.runtime.feed import Backoff, LiveFeed
from rainclear.video.live import open_capture

RATE = 100
TICKS = 90_000 // RATE


def encoded(count=400, size=(64, 48)) -> list[list[bytes]]:
    """H.264 pictures as lists of NAL units; each grey level says its number."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, RATE)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
    pictures = []
    for n in range(count):
        grey = np.full((size[1], size[0], 3), n % 200 + 20, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, "rgb24").reformat(format="yuv420p")
        frame.pts = n
        for packet in context.encode(frame):
            units = re.split(b"\x00\x00\x00?\x01", bytes(packet))
            pictures.append([unit for unit in units if unit])
    return pictures


class RtspServer:
    """Sends the pictures over RTP inside the RTSP connection to everyone who asks to play."""

    def __init__(self, pictures, port=0):
        self._pictures, self._stop = pictures, threading.Event()
        self._socket = socket.create_server(("127.0.0.1", port))
        self._socket.settimeout(0.05)
        self.port = self._socket.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def kill(self):
        self._stop.set()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _accept(self):
        while not self._stop.is_set():
            with suppress(TimeoutError):
                connection, _ = self._socket.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            while not self._stop.is_set():
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    if not (part := connection.recv(1)):
                        return
                    request += part
                method = request.split(b" ")[0].decode()
                number = re.search(rb"CSeq: (\d+)", request)[1].decode()
                connection.sendall(self._answer(method, number))
                if method == "PLAY":
                    return self._play(connection)

    def _answer(self, method, number) -> bytes:
        head, body = "", ""
        if method == "DESCRIBE":
            sets = [u for u in self._pictures[0] if u[0] & 31 in (7, 8)]
            sprop = ",".join(base64.b64encode(u).decode() for u in sets)
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                "a=rtpmap:96 H264/90000\r\na=control:track0\r\n"
                f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\n"
            )
            head = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            head = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        elif method == "OPTIONS":
            head = "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        return f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n{head}\r\n{body}".encode()

    def _play(self, connection):
        sequence = 0
        for n, units in enumerate(self._pictures):
            for unit in units:
                last = 0x80 if unit is units[-1] else 0
                rtp = struct.pack("!BBHII", 0x80, 96 | last, sequence, n * TICKS, 7) + unit
                connection.sendall(struct.pack("!cBH", b"$", 0, len(rtp)) + rtp)
                sequence += 1
            if self._stop.wait(1 / RATE):
                return


@pytest.fixture
def server():
    servers = []

    def start(port=0):
        servers.append(RtspServer(PICTURES, port))
        return servers[-1]

    yield start
    for one in servers:
        one.kill()


PICTURES = encoded()


def test_a_stream_that_is_killed_twice_goes_on(server):
    running = server()
    url = f"rtsp://127.0.0.1:{running.port}/cam"
    quick = Backoff(first=0.02, longest=0.1)
    frames, deaths = [], []
    with LiveFeed(lambda: open_capture(url, timeout=2.0), backoff=quick, timeout=5.0) as feed:
        for frame in feed:
            frames.append(frame)
            after = len(frames) - (deaths[-1] if deaths else 0)
            if after == 20 and len(deaths) < 2:
                deaths.append(len(frames))
                running.kill()
                running = server(running.port)
            elif after == 20:
                break
    assert feed.counts.reconnects == 2
    assert feed.counts.stuck == 0
    assert {f.pixels.shape for f in frames} == {(48, 64, 3)}
    times = [f.time for f in frames if f.pts is not None]
    assert len(times) > len(frames) / 2
    assert times == sorted(times)
    # The pictures themselves go up by one level each, and begin again after each death.
    levels = np.array([f.pixels.mean() for f in frames])
    assert (np.diff(levels) < -2).sum() <= 2 + (len(frames) > 180)
    assert not any(t.name == "rainclear-feed" for t in threading.enumerate())
