"""Y4M and raw pipes: FFmpeg on the other side, real pipes, and what goes wrong with them."""

import io
import os
import threading
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainclear.errors import InputError, OutputError
from rainclear.frame import Frame
from rainclear.video.pipe import PipeClosed, PipeFormat, PipeReader, PipeWriter


def drawn(width=64, height=48, index=0, deep=False):
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([60 + 100 * x / width + 4 * index, 60 + 100 * y / height, 0 * x + 90], -1)
    return (rgb * 257).astype(np.uint16) if deep else rgb.astype(np.uint8)


def planes(frame: av.VideoFrame, sample: int) -> list[np.ndarray]:
    return [
        np.frombuffer(memoryview(p), np.uint8).reshape(-1, p.line_size)[
            : p.height, : p.width * sample
        ]
        for p in frame.planes
    ]


def ffmpeg_y4m(pixel_format: str, *, size=(64, 48), count=3, rate=Fraction(30000, 1001)):
    """Y4M as FFmpeg writes it, and its frames."""
    out, frames = io.BytesIO(), []
    with av.open(out, "w", format="yuv4mpegpipe") as container:
        options = {"strict": "-1"}
        stream = container.add_stream("wrapped_avframe", rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        for n in range(count):
            frame = av.VideoFrame.from_ndarray(drawn(*size, n), "rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts, frame.time_base = n, 1 / rate
            frames.append(frame)
            container.mux(stream.encode(frame))
    return out.getvalue(), frames


def written(form: PipeFormat, frames, **options) -> bytes:
    out = io.BytesIO()
    writer = PipeWriter(out, form, **options)
    for n, pixels in enumerate(frames):
        writer.write(Frame(pixels=pixels, index=n))
    return out.getvalue()


def y4m(form: PipeFormat, samples: bytes, count: int = 1) -> bytes:
    return form.header + b"".join(b"FRAME\n" + samples for _ in range(count))


def read_all(data: bytes, **options) -> tuple[PipeReader, list[Frame]]:
    reader = PipeReader(io.BytesIO(data), **options)
    return reader, list(reader)


@pytest.mark.parametrize("size", [(64, 48), (53, 41)])
def test_what_ffmpeg_writes_is_read(size):
    data, _ = ffmpeg_y4m("yuv420p", size=size)
    reader, frames = read_all(data)
    assert (reader.format.width, reader.format.height) == size
    assert reader.format.rate == Fraction(30000, 1001)
    assert [f.pts for f in frames] == [0, 1, 2]
    assert frames[1].time == pytest.approx(1001 / 30000)
    assert not reader.truncated
    for n, frame in enumerate(frames):
        difference = np.abs(frame.pixels.astype(int) - drawn(*size, n))
        assert difference.mean() < 1.5


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv444p12le"]
)
def test_what_is_written_ffmpeg_reads(pixel_format):
    deep = "1" in pixel_format
    form = PipeFormat(width=53, height=41, pixel_format=pixel_format, rate=Fraction(24))
    data = written(form, [drawn(53, 41, n, deep) for n in range(3)])
    # Opened with little probing, as a player does.
    with av.open(io.BytesIO(data), format="yuv4mpegpipe") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (53, 41)
        assert stream.pix_fmt == pixel_format
        assert stream.average_rate == 24
        got = list(container.decode(video=0))
    _, own = read_all(data)
    assert len(got) == len(own) == 3
    sample = 2 if deep else 1
    again = written(form, [f.pixels for f in own])
    body = again[len(form.header) :]
    size = sum(p.size for p in planes(got[0], sample)) + len(b"FRAME\n")
    assert len(body) == 3 * size


@settings(max_examples=25, deadline=None)
@given(
    samples=st.binary(min_size=24, max_size=24),
    full=st.booleans(),
    pixel_format=st.sampled_from(["yuv444p"]),
)
def test_colours_survive_within_one_code_value(samples, full, pixel_format):
    """YUV in, RGB between, YUV out: what lies inside RGB comes back."""
    levels = np.frombuffer(samples, np.uint8).astype(int) % 20
    base = np.array([110] * 8 + [120] * 8 + [122] * 8) + levels  # well inside the RGB cube
    form = PipeFormat(width=4, height=2, pixel_format=pixel_format, full_range=full)
    data = y4m(form, base.astype(np.uint8).tobytes())
    reader, (frame,) = read_all(data)
    assert reader.format.full_range is full
    back = written(reader.format, [frame.pixels])
    assert back[: len(form.header)] == form.header
    difference = np.frombuffer(back, np.uint8)[-24:].astype(int) - base
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("level", [16, 126, 235])
def test_greys_have_their_known_values(level, full):
    form = PipeFormat(width=4, height=2, pixel_format="yuv444p", full_range=full)
    data = y4m(form, bytes([level] * 8 + [128] * 16))
    (frame,) = read_all(data)[1]
    wanted = level if full else round((level - 16) * 255 / 219)
    assert np.abs(frame.pixels.astype(int) - wanted).max() <= 1


def test_ten_bits_stay_ten_bits():
    form = PipeFormat(width=8, height=8, pixel_format="yuv444p10le")
    luma = np.arange(64, dtype="<u2") + 400
    samples = luma.tobytes() + np.full(128, 512, "<u2").tobytes()
    (frame,) = read_all(y4m(form, samples))[1]
    assert frame.pixels.dtype == np.uint16
    back = np.frombuffer(written(form, [frame.pixels])[-384:], "<u2")
    assert np.abs(back[:64].astype(int) - luma).max() <= 1


@pytest.mark.parametrize("pixels", ["rgb24", "bgr24"])
def test_raw_rgb_is_exact(pixels):
    form = PipeFormat.from_raw(f"64x48@30:{pixels}")
    data = written(form, [drawn(index=n) for n in range(2)], y4m=False)
    assert len(data) == 2 * 64 * 48 * 3
    order = slice(None) if pixels == "rgb24" else slice(None, None, -1)
    assert data[:3] == drawn()[0, 0, order].tobytes()
    reader, frames = read_all(data, raw=form)
    assert not reader.truncated
    for n, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.pixels, drawn(index=n))


def test_raw_formats_are_parsed():
    form = PipeFormat.from_raw("1280x720@30000/1001:yuv420p")
    assert (form.width, form.height, form.pixel_format) == (1280, 720, "yuv420p")
    assert form.rate == Fraction(30000, 1001)
    assert PipeFormat.from_raw("8x6").pixel_format == "rgb24"
    assert PipeFormat.from_raw("8x6@29.97").rate == Fraction(2997, 100)


@pytest.mark.parametrize("text", ["", "8", "8x", "0x6", "8x6@0", "8x6@1/0", "8x6:nope", "-8x6"])
def test_wrong_raw_formats_are_refused(text):
    with pytest.raises(InputError):
        PipeFormat.from_raw(text)


def test_the_header_is_kept():
    line = b"YUV4MPEG2 W4 H2 F24:1 It A10:11 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=FULL\n"
    reader, _ = read_all(line + b"FRAME Ip\n" + bytes(12))
    form = reader.format
    assert (form.interlace, form.aspect, form.chroma) == ("t", Fraction(10, 11), "420mpeg2")
    assert form.header == b"YUV4MPEG2 W4 H2 F24:1 It A10:11 C420mpeg2 XCOLORRANGE=FULL\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(50), "not a Y4M stream"),
        (b"YUV4MPEG2 W4", "ends after"),
        (b"YUV4MPEG2 W4 F25:1\n", "damaged"),
        (b"YUV4MPEG2 Wx H2 F25:1\n", "damaged"),
        (b"YUV4MPEG2 W0 H2 F25:1\n", "0x2"),
        (b"YUV4MPEG2 W999999 H2 F25:1\n", "not supported"),
        (b"YUV4MPEG2 W4 H2 F25:1 C444alpha\n", "C444alpha is not supported"),
        (b"YUV4MPEG2 W4 H2 F25:1\nFRAMES\n" + bytes(12), "a frame was expected"),
        (b"YUV4MPEG2 W4 H2 F25:1\nJUNK", "not a Y4M stream"),
        (b"YUV4MPEG2 " + b"X" * 5000, "not a Y4M stream"),
    ],
)
def test_what_is_not_y4m_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        read_all(data)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 500))
def test_a_pipe_cut_anywhere_gives_the_whole_frames(cut):
    form = PipeFormat(width=8, height=6)
    data = y4m(form, bytes(8 * 6 * 3 // 2), count=4)
    cut = min(cut, len(data))
    frame = 8 * 6 * 3 // 2 + len(b"FRAME\n")
    if cut < len(form.header):
        with pytest.raises(InputError):
            read_all(data[:cut])
        return
    reader, frames = read_all(data[:cut])
    whole, rest = divmod(cut - len(form.header), frame)
    assert len(frames) == whole
    assert reader.truncated is (rest > 0)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200), honest=st.booleans())
def test_junk_is_an_error_or_nothing(data, honest):
    head = b"YUV4MPEG2 W4 H2 F25:1\nFRAME\n" if honest else b"YUV4MPEG2 "
    with suppress(InputError):
        read_all(head + data)


def test_a_frame_comes_when_its_last_byte_is_there():
    """No look-ahead: a live pipe is not held up by the frame that has not been sent yet."""
    inward, outward = os.pipe()
    form = PipeFormat(width=8, height=6)
    with os.fdopen(inward, "rb") as stream:
        frames = iter(PipeReader(stream, timeout=5.0))
        os.write(outward, y4m(form, bytes(72)))
        assert next(frames).index == 0
        os.write(outward, b"FRAME\n" + bytes(72))
        assert next(frames).index == 1
        os.close(outward)
        assert next(frames, None) is None


def test_a_silent_writer_ends_in_a_time_out():
    inward, outward = os.pipe()
    try:
        silent = pytest.raises(InputError, match=r"no data for 0\.15 seconds")
        with os.fdopen(inward, "rb") as stream, silent:
            list(PipeReader(stream, timeout=0.15))
    finally:
        os.close(outward)


def test_a_wait_can_be_cancelled():
    inward, outward = os.pipe()
    try:
        with os.fdopen(inward, "rb") as stream:
            reader = PipeReader(stream, raw=PipeFormat(width=2, height=2), timeout=60)
            timer = threading.Timer(0.05, reader.cancel)
            timer.start()
            assert list(reader) == []
            timer.join()
    finally:
        os.close(outward)


def test_a_reader_that_leaves_is_told_apart():
    inward, outward = os.pipe()
    os.close(inward)
    with os.fdopen(outward, "wb", buffering=0) as stream:
        writer = PipeWriter(stream, PipeFormat(width=64, height=48))
        with pytest.raises(PipeClosed, match="the reader has closed the pipe"):
            writer.write(Frame(pixels=drawn()))


def test_wrong_sizes_and_formats_are_refused():
    writer = PipeWriter(io.BytesIO(), PipeFormat(width=64, height=48))
    with pytest.raises(OutputError, match="frame 7"):
        writer.write(Frame(pixels=drawn(32, 48), index=7))
    with pytest.raises(OutputError, match="raw pipe"):
        PipeWriter(io.BytesIO(), PipeFormat(width=4, height=4, pixel_format="rgb24"))
