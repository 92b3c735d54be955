"""Deraining between two GStreamer pipelines: appsink takes frames out, appsrc puts them in again.

Needs GStreamer and its Python bindings (Debian: python3-gi, gir1.2-gst-plugins-base-1.0).

Usage: python examples/gstreamer_appsink.py "filesrc location=rain.mp4 ! decodebin" \
           "x264enc ! matroskamux ! filesink location=clear.mkv"
"""

import sys

import gi
import numpy as np

import rainclear

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401 - GstApp gives appsink its methods

PATIENCE = 10 * 1_000_000_000
"""How long a frame or an end of stream is waited for, in nanoseconds."""


def to_array(sample: Gst.Sample) -> np.ndarray:
    """The H×W×3 BGR frame of a sample; GStreamer pads rows to multiples of four bytes."""
    caps = sample.get_caps().get_structure(0)
    height, width = caps.get_value("height"), caps.get_value("width")
    data = sample.get_buffer().extract_dup(0, sample.get_buffer().get_size())
    rows = np.frombuffer(data, np.uint8).reshape(height, -1)
    return np.ascontiguousarray(rows[:, : 3 * width].reshape(height, width, 3))


def to_buffer(frame: np.ndarray, like: Gst.Buffer) -> Gst.Buffer:
    """The frame as a buffer with the time stamps of another one."""
    rows = frame.reshape(len(frame), -1)
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    buffer = Gst.Buffer.new_wrapped(padded.tobytes())
    buffer.pts, buffer.dts, buffer.duration = like.pts, like.dts, like.duration
    return buffer


def failed(pipeline: Gst.Pipeline) -> None:
    """Raise what a pipeline complains of, if anything."""
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    if message is not None:
        raise RuntimeError(message.parse_error().gerror.message)


def main(source: str, sink: str) -> int:
    """Derain what the pipeline ``source`` gives and hand it to ``sink``; returns the frames."""
    Gst.init(None)
    take = "videoconvert ! video/x-raw,format=BGR ! appsink name=out sync=false max-buffers=4"
    incoming = Gst.parse_launch(f"{source} ! {take}")
    outgoing = Gst.parse_launch(
        f"appsrc name=in format=time block=true max-bytes=50000000 ! videoconvert ! {sink}"
    )
    appsink, appsrc = incoming.get_by_name("out"), outgoing.get_by_name("in")
    derainer = rainclear.Derainer("d-daiam-rt")
    frames = 0
    incoming.set_state(Gst.State.PLAYING)
    try:
        while (sample := appsink.try_pull_sample(PATIENCE)) is not None:
            if frames == 0:
                appsrc.set_caps(sample.get_caps())
                outgoing.set_state(Gst.State.PLAYING)
            derained = derainer(to_array(sample))  # BGR uint8 in, BGR uint8 out
            appsrc.push_buffer(to_buffer(derained, sample.get_buffer()))
            failed(outgoing)
            frames += 1
        failed(incoming)
        if frames:
            appsrc.end_of_stream()
            ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
            if outgoing.get_bus().timed_pop_filtered(PATIENCE, ends) is None:
                raise RuntimeError("the outgoing pipeline did not come to its end")
    finally:
        for pipeline in (incoming, outgoing):
            pipeline.set_state(Gst.State.NULL)
    print(f"{frames} frames derained")
    return frames


if __name__ == "__main__":
    main(*sys.argv[1:])
