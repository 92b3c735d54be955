from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rainclear.frame import Frame
from rainclear.video import VideoReader, VideoWriter, probe

needs = {c: pytest.mark.skipif(c not in av.codecs_available, reason=f"FFmpeg without {c}")
         for c in ("libx265", "libsvtav1", "libvpx-vp9", "ffv1")}  # fmt: skip


def copy(source, target, **options):
    """Read and write again; the notes, and the frames that went in."""
    with VideoReader(source) as reader, VideoWriter(target, template=reader, **options) as writer:
        frames = list(reader)
        for frame in frames:
            writer.write(frame)
    assert writer.frames == len(frames) and target.exists()
    assert [p for p in target.parent.iterdir() if "partial" in p.name] == []
    return writer.notes, frames


def times(path) -> list[Fraction]:
    # Independent of the reader under test.
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0)]


TICK = Fraction(1, 1000)
VFR = [0, 1000, 2500, 2600, 9000, 9001, 12000, 20000]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
@pytest.mark.parametrize("start", [0, 12345])
def test_vfr_stamps_are_exact(make_video, tmp_path, name, start):
    path = make_video(pts=[p + start for p in VFR], time_base=Fraction(1, 90000), sound="aac")
    notes, _ = copy(path, tmp_path / name)
    assert times(tmp_path / name) == [Fraction(p + start, 90000) for p in VFR]
    assert notes == []


def test_matroska_rounds_to_milliseconds(make_video, tmp_path):
    path = make_video(pts=VFR, time_base=Fraction(1, 90000), sound="aac")
    copy(path, tmp_path / "out.mkv")
    expected = [Fraction(round(Fraction(p, 90)), 1000) for p in VFR]
    assert times(tmp_path / "out.mkv") == expected


UNITS = [(1, 90000), (1001, 30000), (1, 25), (1, 1000), (1, 7), (1, 1_000_000), (1, 12800)]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    gaps=st.lists(st.integers(1, 200_000), min_size=1, max_size=12),
    start=st.integers(-50_000, 500_000),
    time_base=st.sampled_from(
        [Fraction(*pair) for pair in UNITS]
    ),
)  # fmt: skip
def test_any_rising_stamps_are_exact(make_video, tmp_path, gaps, start, time_base):
    template = probe(make_video(pts=range(1), time_base=time_base))
    pts = [start]
    for gap in gaps:
        pts.append(pts[-1] + gap)
    picture = np.zeros((48, 64, 3), np.uint8)
    target = tmp_path / "out.mp4"
    with VideoWriter(
        target, template=template, overwrite=True, preset="ultrafast", keep_streams=False
    ) as writer:
        for stamp in pts:
            # Templates from MP4 have a finer unit than asked for; frames may use their own.
            writer.write(Frame(pixels=picture, pts=stamp, time_base=time_base))
    late = max(0, -start)
    assert times(target) == [(stamp + late) * time_base for stamp in pts]
    assert bool(writer.notes) == (start < 0)


def test_missing_and_equal_stamps(make_video, tmp_path):
    template = probe(make_video())
    picture = np.zeros((48, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "a.mp4", template=template) as writer:
        for _ in range(4):
            writer.write(Frame(pixels=picture))
    assert times(tmp_path / "a.mp4") == [Fraction(i, 25) for i in range(4)]
    with VideoWriter(tmp_path / "b.mp4", template=template) as writer:
        for pts in (0, 40, 40, 80):
            writer.write(Frame(pixels=picture, pts=pts))
    seconds = times(tmp_path / "b.mp4")
    assert len(seconds) == 4 and seconds[1] < seconds[2] < seconds[3] == Fraction(8, 100)
    assert "did not increase" in writer.notes[0]


def test_mpeg4_counts_too_coarsely_but_stamps_stay(make_video, tmp_path):
    path = make_video(pts=VFR, time_base=Fraction(1, 90000))
    copy(path, tmp_path / "out.mp4", codec="mpeg4")
    assert times(tmp_path / "out.mp4") == [Fraction(p, 90000) for p in VFR]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_last_frame_keeps_its_duration(make_video, tmp_path, codec):
    template = probe(make_video())
    picture = np.zeros((48, 64, 3), np.uint8)
    with VideoWriter(tmp_path / "out.mp4", template=template, codec=codec) as writer:
        for pts, duration in ((0, 0), (40, 40), (80, 400)):
            writer.write(Frame(pixels=picture, pts=pts, duration=duration))
    # The whole file's duration: the track's own one is counted in order of decoding.
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(0.48, abs=1e-3)


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p", "yuv422p"])
def test_depth_and_chroma_stay(make_video, tmp_path, pixel_format):
    _, frames = copy(make_video(pixel_format=pixel_format), tmp_path / "out.mp4", crf=1)
    info = probe(tmp_path / "out.mp4")
    assert info.pixel_format == pixel_format
    with VideoReader(tmp_path / "out.mp4") as reader:
        for before, after in zip(frames, reader, strict=True):
            assert before.pixels.dtype == after.pixels.dtype
            scale = 1 if before.pixels.dtype == np.uint8 else 257
            difference = abs(before.pixels.astype(int) - after.pixels.astype(int))
            assert difference.mean() / scale < 1.5


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (6, 1, 6, 6), (5, 2, 5, 6), (9, 1, 9, 16)])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_colour_tags_stay(make_video, tmp_path, tags, name):
    path = make_video(tags=tags)
    before = probe(path).color
    assert (before.matrix, before.range, before.primaries, before.transfer) == tags
    copy(path, tmp_path / name)
    assert probe(tmp_path / name).color == before


def test_unnamed_colours_stay_unnamed(make_video, tmp_path):
    copy(make_video(), tmp_path / "out.mp4")
    color = probe(tmp_path / "out.mp4").color
    assert (color.matrix, color.primaries, color.transfer, color.range) == (2, 2, 2, 0)


@pytest.mark.parametrize("tags", [(6, 2, 6, 6), (1, 1, 1, 1)])
def test_mpeg4_without_colour_tags_looks_the_same(make_video, tmp_path, tags):
    path = make_video(tags=tags, options={"crf": "1"})
    _, frames = copy(path, tmp_path / "out.avi", codec="mpeg4", crf=6)
    with VideoReader(tmp_path / "out.avi") as reader:
        after = next(iter(reader)).pixels.astype(int)
    assert abs(after - frames[0].pixels).mean() < 2


@pytest.mark.parametrize("size", [(65, 48), (64, 49), (65, 49)])
@pytest.mark.parametrize(
    "codec",
    ["libx264", pytest.param("libx265", marks=needs["libx265"]), "mpeg4",
     pytest.param("libvpx-vp9", marks=needs["libvpx-vp9"])],
)  # fmt: skip
def test_odd_sizes_stay(make_video, tmp_path, size, codec):
    path = make_video("in.mkv", codec="ffv1", size=size, pts=range(3))
    _, frames = copy(path, tmp_path / "out.mp4", codec=codec)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == size
    with VideoReader(tmp_path / "out.mp4") as reader:
        after = next(iter(reader)).pixels
    # The last column and line show whether the picture was stretched or filled up.
    assert abs(after.astype(int) - frames[0].pixels)[-3:, -3:].mean() < 12


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_rotation_stays(make_video, tmp_path, rotation, name):
    source = make_video(rotation=rotation, pts=range(2))
    copy(source, tmp_path / name)
    before, after = probe(source), probe(tmp_path / name)
    assert after.rotation == rotation and after.display_matrix == before.display_matrix
    assert (after.width, after.height) == (64, 48)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_containers_without_rotation_get_upright_pixels(make_video, tmp_path, rotation):
    source = make_video(rotation=rotation, pts=range(2))
    _, frames = copy(source, tmp_path / "out.avi", codec="mpeg4", crf=2)
    with VideoReader(tmp_path / "out.avi") as reader:
        after = next(iter(reader))
    expected = np.rot90(frames[0].pixels, rotation // 90)
    assert after.rotation == 0 and after.pixels.shape == expected.shape
    assert abs(after.pixels.astype(int) - expected).mean() < 4


def test_another_size(make_video, tmp_path):
    path = make_video()
    target = tmp_path / "pair.mp4"
    with VideoReader(path) as reader, VideoWriter(target, template=reader, width=128) as writer:
        for frame in reader:
            both = np.concatenate([frame.pixels, frame.pixels], axis=1)
            writer.write(Frame(pixels=both, pts=frame.pts, time_base=frame.time_base))
    info = probe(target)
    assert (info.width, info.height, info.frames) == (128, 48, 12)


@pytest.mark.parametrize(
    ("codec", "name", "decoder"),
    [("libx264", "a.mp4", "h264"), ("mpeg4", "a.mp4", "mpeg4"),
     pytest.param("libx265", "a.mp4", "hevc", marks=needs["libx265"]),
     pytest.param("libsvtav1", "a.mp4", "av1", marks=needs["libsvtav1"]),
     pytest.param("libvpx-vp9", "a.webm", "vp9", marks=needs["libvpx-vp9"]),
     pytest.param("ffv1", "a.mkv", "ffv1", marks=needs["ffv1"])],
)  # fmt: skip
def test_codecs(make_video, tmp_path, codec, name, decoder, capfd):
    path = make_video(pts=range(4))
    _, frames = copy(path, tmp_path / name, codec=codec)
    with VideoReader(tmp_path / name) as reader:
        # "libdav1d" and the like stand for the codec that they decode.
        assert decoder in reader.info.codec or "dav1d" in reader.info.codec
        after = [frame.pixels.astype(int) for frame in reader]
    assert len(after) == 4 and abs(after[0] - frames[0].pixels).mean() < 4
    assert capfd.readouterr() == ("", "")


def test_crf_and_preset_matter(make_video, tmp_path):
    rough = make_video()
    copy(rough, tmp_path / "small.mp4", crf=45, preset="ultrafast")
    copy(rough, tmp_path / "large.mp4", crf=1, preset="ultrafast")
    assert (tmp_path / "large.mp4").stat().st_size > (tmp_path / "small.mp4").stat().st_size


def test_a_pause_and_a_damaged_duration_do_not_stop_mpeg4(make_video, tmp_path):
    template = probe(make_video("in.mkv"))
    picture = np.zeros((48, 64, 3), np.uint8)
    target = tmp_path / "out.mp4"
    with VideoWriter(target, template=template, codec="mpeg4") as writer:
        for pts, duration in ((0, 2**42), (40, -5), (40 + 3_600_000, 40)):
            writer.write(Frame(pixels=picture, pts=pts, duration=duration, time_base=TICK))
    assert times(target) == [0, Fraction(40, 1000), 3600 + Fraction(40, 1000)]


@pytest.mark.parametrize("rate", [Fraction(1, 5000), Fraction(100_000), Fraction(30000, 1001)])
def test_mpeg4_at_any_rate(make_video, tmp_path, rate):
    template = replace(probe(make_video()), rate=rate, time_base=TICK)
    target = tmp_path / "out.mp4"
    with VideoWriter(target, template=template, codec="mpeg4") as writer:
        for pts in (0, 40, 5_000_000):
            writer.write(Frame(pixels=np.zeros((48, 64, 3), np.uint8), pts=pts, time_base=TICK))
    assert times(target) == [0, Fraction(40, 1000), 5000]
