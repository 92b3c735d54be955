from fractions import Fraction

import av
import pytest

from rainclear.video import VideoReader, VideoWriter
from rainclear.video.streams import StreamCopier


def rewrite(source, target, **options) -> list[str]:
    with VideoReader(source) as reader, VideoWriter(target, template=reader, **options) as writer:
        for frame in reader:
            writer.write(frame)
    return writer.notes


def sound(path) -> tuple[list[bytes], list[Fraction]]:
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
        return [bytes(p) for p in packets], [p.pts * p.time_base for p in packets]


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [("in.mp4", "out.mp4", "aac"), ("in.mov", "out.mov", "pcm_s16le"),
     ("in.mkv", "out.mkv", "aac"), ("in.mkv", "out.mkv", "pcm_s16le")],
)  # fmt: skip
def test_sound_is_copied_byte_for_byte(make_video, tmp_path, source, target, codec):
    path = make_video(source, pts=range(25), sound=codec)
    assert rewrite(path, tmp_path / target) == []
    before, after = sound(path), sound(tmp_path / target)
    assert b"".join(after[0]) == b"".join(before[0]) and len(before[0]) > 20
    if codec == "aac":
        assert after == before
    with av.open(str(path)) as old, av.open(str(tmp_path / target)) as new:
        assert new.streams.audio[0].language == old.streams.audio[0].language
        assert source == "in.mov" or new.streams.audio[0].language == "deu"


def test_sound_before_zero_does_not_move_the_video(make_video, tmp_path):
    path = make_video(pts=range(25), sound="aac")
    assert sound(path)[1][0] < 0
    rewrite(path, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert next(container.decode(video=0)).pts == 0
    before, after = sound(path), sound(tmp_path / "out.mkv")
    assert after[0] == before[0][1:]
    assert max(abs(a - b) for a, b in zip(after[1], before[1][1:], strict=True)) <= 0.001


def test_sound_moves_with_a_video_from_before_zero(make_video, tmp_path):
    path = make_video("in.mkv", pts=range(25), sound="aac")
    with VideoReader(path) as reader, VideoWriter(tmp_path / "a.mkv", template=reader) as writer:
        for frame in reader:
            late = {"pts": frame.pts - 200}
            writer.write(type(frame)(pixels=frame.pixels, time_base=frame.time_base, **late))
    assert "before time zero" in writer.notes[0]
    assert sound(tmp_path / "a.mkv")[1][0] - sound(path)[1][0] == Fraction(200, 1000)


def test_tags_and_chapters(make_video, tmp_path):
    path = make_video(chapters=True)
    assert rewrite(path, tmp_path / "out.mp4") == []
    assert rewrite(path, tmp_path / "out.mkv") == []
    for name in ("out.mp4", "out.mkv"):
        with av.open(str(tmp_path / name)) as container:
            assert container.metadata["title"] == "rain on the A5"
            (chapter,) = container.chapters()
            assert chapter["metadata"]["title"] == "bridge"
            assert chapter["end"] * chapter["time_base"] == Fraction(4, 10)


def test_what_the_container_cannot_carry_is_noted(make_video, tmp_path):
    path = make_video(sound="aac")
    (note,) = rewrite(path, tmp_path / "out.webm", codec="libvpx-vp9")
    assert note == "audio stream 1 (aac) was left out: it cannot be copied into webm"
    with av.open(str(tmp_path / "out.webm")) as container:
        assert len(container.streams) == 1


def test_streams_can_be_left_out(make_video, tmp_path):
    rewrite(make_video(sound="aac"), tmp_path / "out.mp4", keep_streams=False)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams) == 1


def test_sound_is_read_along_not_ahead(make_video, tmp_path, monkeypatch):
    ahead = []
    plain = StreamCopier._write

    def watch(self, packet):
        ahead.append(float(packet.pts * packet.time_base) - written[-1])
        plain(self, packet)

    monkeypatch.setattr(StreamCopier, "_write", watch)
    written = [0.0]
    path = make_video(pts=range(100), sound="aac")
    options = {"codec": "mpeg4"}  # gives each packet at once
    with VideoReader(path) as reader, VideoWriter(
        tmp_path / "o.mp4", template=reader, **options
    ) as writer:  # fmt: skip
        for frame in reader:
            written.append(frame.time)
            writer.write(frame)
        assert len(ahead) > 150 and max(ahead) < 0.1


def test_cut_sound_leaves_the_video(make_video, tmp_path):
    path = make_video(
        pts=range(60), sound="aac", container_options={"movflags": "faststart"}
    )  # fmt: skip
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    with VideoReader(path) as reader, VideoWriter(tmp_path / "o.mp4", template=reader) as writer:
        for frame in reader:
            writer.write(frame)
    assert writer.frames >= 5 and (tmp_path / "o.mp4").exists()
