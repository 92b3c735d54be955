import gc
import os
import random
from fractions import Fraction

import av
import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.video import VideoReader, probe
from rainclear.video import source as source_module

GOP = {"x264-params": "keyint=10:bframes=2"}


def stamps(path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.pts * frame.time_base for frame in reader]


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
@pytest.mark.parametrize("start", [0, 12345])
def test_each_frame_once_with_its_own_time(make_video, name, start):
    # Multiples of 90 are whole milliseconds, which Matroska needs; b-frames are on by default.
    pts = [start // 90 * 90 + p for p in (0, 900, 2700, 2790, 9000, 13500, 20700, 20790)]
    if name == "in.ts":
        pts = [p + 90000 for p in pts]
    path = make_video(name, pts=pts, time_base=Fraction(1, 90000))
    assert stamps(path) == [Fraction(p, 90000) for p in pts]
    with VideoReader(path) as reader:
        frames = list(reader)
        assert [f.index for f in frames] == list(range(8))
        assert reader.report.frames == 8
        assert not reader.report.truncated and reader.report.message is None
        assert list(reader) == []


def test_negative_stamps(make_video):
    path = make_video("in.nut", pts=range(-5, 7), codec="mpeg4")
    with av.open(str(path)) as container:
        expected = [f.pts for f in container.decode(video=0)]
    with VideoReader(path) as reader:
        assert [f.pts for f in reader] == expected and len(expected) == 12


@pytest.mark.parametrize(
    ("pixel_format", "dtype"), [("yuv420p", np.uint8), ("yuv422p10le", np.uint16)]
)
@pytest.mark.parametrize("size", [(64, 48), (70, 50)])
def test_pixels(make_video, pixel_format, dtype, size):
    options = {"crf": "1"}
    path = make_video(pixel_format=pixel_format, size=size, pts=range(2), options=options)
    with VideoReader(path) as reader:
        frame = next(iter(reader))
    assert frame.pixels.shape == (size[1], size[0], 3)
    assert frame.pixels.dtype == dtype
    assert frame.pixels.flags.c_contiguous and frame.pixels.flags.writeable
    scale = 1 if dtype is np.uint8 else 257
    assert abs(frame.pixels[25, 32].astype(int) / scale - [105, 110, 90]).max() < 8


def test_probe(make_video):
    path = make_video(sound="aac", tags=(1, 1, 1, 1), chapters=True)
    info = probe(path)
    assert (info.width, info.height, info.codec) == (64, 48, "h264")
    assert (info.rate, info.frames, info.bit_depth, info.has_audio) == (25, 12, 8, True)
    assert info.duration == pytest.approx(0.48, abs=0.05)
    assert "mp4" in info.container and info.pixel_format == "yuv420p"
    color = info.color
    assert (color.matrix, color.range, color.primaries, color.transfer) == (1, 1, 1, 1)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_told_and_pixels_stay(make_video, rotation):
    with VideoReader(make_video(rotation=rotation)) as reader:
        assert reader.info.rotation == rotation
        frame = next(iter(reader))
        assert frame.rotation == rotation and frame.pixels.shape == (48, 64, 3)


def cut(path, share: float):
    data = path.read_bytes()
    result = path.with_stem("cut")
    result.write_bytes(data[: int(len(data) * share)])
    return result


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.avi"])
@pytest.mark.parametrize("threads", [1, 4])
def test_cut_file_gives_what_is_there(make_video, name, threads):
    path = make_video(
        name,
        pts=range(50),
        size=(320, 240),
        codec="mpeg4" if name == "in.avi" else "libx264",
        options={} if name == "in.avi" else GOP,
        container_options={"movflags": "faststart"} if name == "in.mp4" else {},
    )
    path = cut(path, 0.7)
    with VideoReader(path, threads=threads) as reader:
        count = sum(1 for _ in reader)
        report = reader.report
    # All but the packet that is there in part, and the b-frames that miss it.
    with av.open(str(path)) as container:
        whole = sum(1 for p in container.demux(video=0) if p.size and not p.is_corrupt)
    assert 5 < count < 50 and count >= whole - 2
    assert report.truncated and "cut off" in report.message and report.frames == count
    assert report.damaged_frames == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_damage_in_the_middle(make_video, threads):
    path = make_video(
        pts=range(50), options=GOP | {"crf": "10"}, container_options={"movflags": "faststart"}
    )
    data = bytearray(path.read_bytes())
    chance = random.Random(1)
    start = data.index(b"mdat")
    middle = start + (len(data) - start) // 2
    for _ in range(120):
        data[chance.randrange(middle, middle + (len(data) - middle) // 3)] ^= 255
    path.write_bytes(data)
    with VideoReader(path, threads=threads) as reader:
        times = [frame.pts for frame in reader]
    assert 20 < len(times) <= 50 and times == sorted(set(times))
    report = reader.report
    assert report.corrupt_packets == 50 - len(times) > 0 and report.message


def test_damage_at_the_end_keeps_what_the_threads_hold(make_video):
    path = make_video(
        pts=range(30), options={"x264-params": "keyint=1:bframes=0"},
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    with av.open(str(path)) as container:
        victim = [(p.pos, p.size) for p in container.demux(video=0) if p.size][26]
    data = bytearray(path.read_bytes())
    data[victim[0] : victim[0] + victim[1]] = b"\xff" * victim[1]
    path.write_bytes(data)
    with VideoReader(path, threads=8) as reader:
        base = {frame.pts // 512 for frame in reader}
        report = reader.report
    assert base >= set(range(30)) - {26}
    assert report.corrupt_packets + report.damaged_frames > 0


def test_mp4_without_index(make_video):
    path = cut(make_video(pts=range(50)), 0.7)
    with pytest.raises(InputError, match=r"cut\.mp4: the file is cut off and has no index"):
        VideoReader(path)


def test_no_frames(make_video):
    with pytest.raises(InputError, match=r"no frame|no video stream"):
        VideoReader(make_video("in.avi", pts=[], codec="mpeg4"))


def test_sound_only(make_sound):
    with pytest.raises(InputError, match="sound only"):
        probe(make_sound("sound.m4a"))


def test_what_is_no_video(tmp_path):
    (tmp_path / "notes.txt").write_text("rain\n" * 50)
    (tmp_path / "fake.mp4").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.mp4").touch()
    cases = {
        "notes.txt": "not a video",
        "fake.mp4": "not a video",
        "empty.mp4": "is empty",
        "missing.mp4": "no such file",
        ".": "is a directory",
    }
    for name, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            probe(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_unreadable(make_video, monkeypatch):
    path = make_video()

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(source_module.Path, "open", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        probe(path)


def test_colon_in_the_name(make_video):
    assert len(stamps(make_video("a:b.mp4"))) == 12


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="counts threads as Linux does")
def test_closing_in_the_middle_ends_the_decoders_threads(make_video):
    path = make_video(pts=range(40))
    gc.disable()  # it would do what closing has to
    try:
        before = len(os.listdir("/proc/self/task"))
        reader = VideoReader(path, threads=4)
        next(iter(reader))
        assert len(os.listdir("/proc/self/task")) > before
        reader.close()
        assert len(os.listdir("/proc/self/task")) == before
        assert list(reader) == []
    finally:
        gc.enable()
