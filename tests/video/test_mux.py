from fractions import Fraction
from math import lcm

import av
import numpy as np
import pytest

from rainclear.video.mux import Muxer


def movie_timescale(path) -> int:
    data = path.read_bytes()
    at = data.index(b"mvhd") + 16
    return int.from_bytes(data[at : at + 4], "big")


def mux(path, time_base, pts, *, sound=None):
    """Write frames with B-frames among them, each as long as the next is later; the last 10."""
    muxer = Muxer(path)
    stream = muxer.container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    stream.codec_context.time_base = stream.time_base = time_base
    notes = [] if sound is None else muxer.copy(sound, stream, stream=None, cut=None)
    muxer.begin(time_base)
    ends = [*pts[1:], pts[-1] + 10]
    durations = {start: end - start for start, end in zip(pts, ends, strict=True)}

    def stamped(packets):
        for packet in packets:
            packet.duration = durations[packet.pts]
        return packets

    for number, at in enumerate(pts):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * number, np.uint8), "rgb24")
        frame.pts, frame.time_base = at, time_base
        muxer.put(stamped(stream.encode(frame)))
    muxer.put(stamped(stream.encode(None)), last=True)
    muxer.finish()
    muxer.close()
    muxer.close()
    return notes


@pytest.mark.parametrize(
    ("time_base", "scale"),
    [
        (Fraction(1, 90), lcm(90, 1000, 48000)),
        (Fraction(1, 2**30), 2**30),  # there is no room for the others
    ],
)
def test_the_start_of_every_stream_is_whole(make_video, tmp_path, time_base, scale):
    source = make_video(sound="aac")
    assert mux(tmp_path / "out.mp4", time_base, range(0, 100, 10), sound=source) == []
    assert movie_timescale(tmp_path / "out.mp4") == scale


def test_the_frame_shown_last_keeps_its_duration(tmp_path):
    mux(tmp_path / "out.mp4", Fraction(1, 100), [0, 1, 2, 3, 4, 5, 6, 7])
    with av.open(str(tmp_path / "out.mp4")) as video:
        (stream,) = video.streams.video
        assert stream.duration * stream.time_base == Fraction(17, 100)
        packets = [p for p in video.demux(stream) if p.size]
    assert [p.pts for p in packets] != sorted(p.pts for p in packets)
