from fractions import Fraction
from types import SimpleNamespace

import av
import pytest

from rainclear.errors import ConfigError, InputError
from rainclear.video import VideoReader, VideoWriter
from rainclear.video.part import Cut, Part, Position, seconds_of
from rainclear.video.trim import chapters_within, within

TICK = Fraction(1, 1000)
UNEVEN = [0, 10, 11, 40, 95, 300, 310, 900, 901, 1500, 1540, 1600]


def copy(source, target, part, **options) -> VideoWriter:
    with (
        VideoReader(source, part=part) as reader,
        VideoWriter(target, template=reader, preset="ultrafast", crf=0, **options) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    return writer


def pictures(path) -> list[bytes]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray().tobytes() for frame in video.decode(video=0)]


def times(path) -> list[Fraction]:
    with av.open(str(path)) as video:
        return [frame.pts * frame.time_base for frame in video.decode(video=0)]


def sound(path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as video:
        return [(p.pts * p.time_base, bytes(p)) for p in video.demux(audio=0) if p.size]


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        (Part(start=Fraction(95, 1000)), UNEVEN[4:]),
        (Part(start=Fraction(96, 1000)), UNEVEN[5:]),
        (Part(end=Fraction(3, 10)), UNEVEN[:5]),
        (Part(end=Fraction(301, 1000)), UNEVEN[:6]),
        (Part(frames=3), UNEVEN[:3]),
        (Part(frames=100), UNEVEN),
        (Part(start=Fraction(1, 100), end=Fraction(1), frames=4), UNEVEN[1:5]),
        (Part(start=Fraction(4, 100), end=Fraction(91, 100), frames=400), UNEVEN[3:9]),
    ],
)
@pytest.mark.parametrize("late", [0, 2000])
def test_the_frames_of_a_part(make_video, part, kept, late):
    source = make_video(pts=[t + late for t in UNEVEN], time_base=TICK, options={"g": "3"})
    with VideoReader(source, part=part) as reader:
        frames = list(reader)
    with VideoReader(source) as reader:
        wanted = [frame for frame in reader if frame.pts * frame.time_base * 1000 - late in kept]
    assert [frame.pts for frame in frames] == [frame.pts for frame in wanted]
    assert all((a.pixels == b.pixels).all() for a, b in zip(frames, wanted, strict=True))
    assert [frame.index for frame in frames] == list(range(len(kept)))


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_part_begins_at_zero_and_its_sound_stays_beside_it(make_video, tmp_path, name):
    source = make_video(pts=range(50), sound="aac", options={"qp": "0", "g": "10"})
    writer = copy(source, tmp_path / name, Part(start=Fraction("0.5"), end=Fraction("1.2")))
    assert writer.notes == [] and writer.frames == 17  # 0.52 s to 1.16 s
    moved = Fraction(13, 25)
    copy(source, tmp_path / "whole.mkv", None)
    assert pictures(tmp_path / name) == pictures(tmp_path / "whole.mkv")[13:30]
    slack = 0 if name == "out.mp4" else Fraction(1, 1000)
    found = [t + moved for t in times(tmp_path / name)]
    assert all(abs(a - b) <= slack for a, b in zip(found, times(source)[13:30], strict=True))
    kept = [(t, data) for t, data in sound(source) if moved <= t < Fraction("1.2")]
    copied = sound(tmp_path / name)
    assert [data for _, data in copied] == [data for _, data in kept] and len(kept) > 20
    assert all(abs(a + moved - b) <= slack for (a, _), (b, _) in zip(copied, kept, strict=True))


def test_without_a_start_nothing_is_moved(make_video, tmp_path):
    source = make_video(pts=range(5, 30), sound="aac")
    copy(source, tmp_path / "out.mp4", Part(frames=10))
    assert times(tmp_path / "out.mp4") == times(source)[:10]
    assert sound(tmp_path / "out.mp4") == [
        (t, data) for t, data in sound(source) if t < Fraction(15, 25)
    ]


def test_an_end_after_the_video_keeps_all(make_video, tmp_path):
    source = make_video(pts=range(10), sound="aac")
    copy(source, tmp_path / "out.mp4", Part(end=Fraction(100)))
    assert times(tmp_path / "out.mp4") == times(source)
    assert sound(tmp_path / "out.mp4") == sound(source)


def test_chapters_move_with_the_part(make_video, tmp_path):
    source = make_video(pts=range(25), chapters=True)  # one chapter, 0 to 0.4 s
    copy(source, tmp_path / "out.mp4", Part(start=Fraction("0.2")))
    copy(source, tmp_path / "short.mp4", Part(end=Fraction("0.2")))
    copy(source, tmp_path / "after.mp4", Part(start=Fraction("0.6")))
    for name, end in (("out.mp4", Fraction("0.2")), ("short.mp4", Fraction("0.2"))):
        with av.open(str(tmp_path / name)) as video:
            (chapter,) = video.chapters()
            assert (chapter["start"], chapter["end"] * chapter["time_base"]) == (0, end)
            assert chapter["metadata"]["title"] == "bridge"
    with av.open(str(tmp_path / "after.mp4")) as video:
        assert video.chapters() == [] and video.metadata["title"] == "rain on the A5"


def packet(start: int, length: int, kind: str = "subtitle") -> SimpleNamespace:
    return SimpleNamespace(
        pts=start, dts=start, duration=length, time_base=TICK, stream=SimpleNamespace(type=kind)
    )


@pytest.mark.parametrize(
    ("start", "length", "kept"),
    [
        (100, 300, None),  # over before the part begins
        (400, 300, (500, 200)),  # on screen when it begins
        (600, 100, (600, 100)),
        (800, 300, (800, 200)),  # on screen when it ends
        (400, 900, (500, 500)),
        (1000, 100, None),
    ],
)
def test_subtitles_are_cut(start, length, kept):
    one = packet(start, length)
    cut = Cut(begin=Fraction(1, 2), end=Fraction(1))
    assert within(one, cut) == (kept is not None)
    assert kept is None or (one.pts, one.duration) == kept == (one.dts, one.duration)


def test_sound_is_cut_between_packets():
    cut = Cut(begin=Fraction(1, 2), end=Fraction(1))
    starts = [s for s in range(0, 1500, 70) if within(packet(s, 70, "audio"), cut)]
    assert starts == [s for s in range(0, 1500, 70) if 500 <= s < 1000]


def test_chapters_without_a_cut_are_left_alone():
    chapters = [{"id": 1, "start": 5, "end": 3, "time_base": TICK, "metadata": {}}]
    assert chapters_within(chapters, Cut()) == chapters


def test_the_expected_number_of_frames(make_video):
    source = make_video(pts=range(50))
    for part, count in ((Part(start=Fraction(1)), 25), (Part(frames=7), 7), (Part(), 50)):
        with VideoReader(source, part=part) as reader:
            assert reader.info.frames == count


def test_a_part_without_a_frame(make_video):
    source = make_video(pts=range(25))
    with pytest.raises(InputError, match=r"in\.mp4: has no frame from 5 s on"):
        VideoReader(source, part=Part(start=Fraction(5)))
    with pytest.raises(InputError, match=r"from 0\.01 s on and before 0\.02 s"):
        VideoReader(source, part=Part(start=Fraction(1, 100), end=Fraction(2, 100)))


@pytest.mark.parametrize(
    "wrong", [{"start": -1}, {"start": 2, "end": 2}, {"end": 0}, {"frames": 0}]
)
def test_an_empty_part_is_refused(wrong):
    with pytest.raises(ConfigError):
        Part(**{k: v if k == "frames" else Fraction(v) for k, v in wrong.items()})


def test_a_pass_can_begin_at_any_frame(make_video):
    source = make_video(pts=UNEVEN, time_base=TICK, options={"g": "4", "bf": "2"})
    with VideoReader(source) as reader:
        whole = list(reader)
    for frame in whole:
        with VideoReader(source, since=Position(pts=frame.pts, index=frame.index)) as reader:
            rest = list(reader)
        assert [one.index for one in rest] == list(range(frame.index, len(whole)))
        assert all((a.pixels == b.pixels).all() for a, b in zip(rest, whole[frame.index :]))  # noqa: B905
        assert reader.report.message is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", "1.5"), (".5", "0.5"), ("01:30", 90), ("1:02:03.25", "3723.25")],
)
def test_times_as_written(text, seconds):
    assert seconds_of(text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-3", "1:75", "1:2:3:4", "1e3", "10s"])
def test_no_times(text):
    with pytest.raises(ConfigError, match="HH:MM:SS"):
        seconds_of(text)


@pytest.fixture
def two_videos(tmp_path):
    """A file whose streams are a small video, sound, and a wide video."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        small = out.add_stream("libx264", rate=25)
        small.width, small.height, small.pix_fmt = 64, 48, "yuv420p"
        tone = out.add_stream("aac", rate=48000)
        wide = out.add_stream("libx264", rate=25)
        wide.width, wide.height, wide.pix_fmt = 96, 48, "yuv420p"
        for n in range(5):
            for stream in (small, wide):
                frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
                frame.pts, frame.time_base = n, Fraction(1, 25)
                out.mux(stream.encode(frame))
        for stream in (small, wide):
            out.mux(stream.encode(None))
        out.mux(tone.encode(None))
    return path


def test_another_video_stream(two_videos, tmp_path):
    for index, width in ((None, 64), (0, 64), (2, 96)):
        with VideoReader(two_videos, stream=index) as reader:
            assert (reader.info.width, len(list(reader))) == (width, 5)
            assert reader.info.stream == (index or 0)
    with (
        VideoReader(two_videos, stream=2) as reader,
        VideoWriter(tmp_path / "out.mkv", template=reader) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    with av.open(str(tmp_path / "out.mkv")) as video:
        assert [stream.type for stream in video.streams] == ["video", "audio"]
        assert video.streams.video[0].width == 96
    assert writer.notes == ["video stream 0 (h264) was left out: it cannot be copied into matroska"]


@pytest.mark.parametrize(("index", "what"), [(1, "is audio, not video"), (7, "does not exist")])
def test_no_such_video_stream(two_videos, index, what):
    with pytest.raises(InputError) as caught:
        VideoReader(two_videos, stream=index)
    assert str(caught.value) == (
        f"{two_videos}: stream {index} {what}; its videos are: 0 (h264 64x48), 2 (h264 96x48)"
    )
