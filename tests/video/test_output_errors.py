import errno
import os

import numpy as np
import pytest

from rainclear.errors import OutputError
from rainclear.frame import Frame
from rainclear.video import VideoReader, VideoWriter, probe
from rainclear.video.partial import Path as PartialPath
from rainclear.video.streams import StreamCopier


@pytest.fixture
def source(make_video):
    return make_video(sound="aac")


def names(folder) -> set[str]:
    return {p.name for p in folder.iterdir()}


def frame(value: int = 0, size: tuple[int, int] = (64, 48)) -> Frame:
    return Frame(pixels=np.full((size[1], size[0], 3), value, np.uint8))


def test_existing_file(source, tmp_path):
    target = tmp_path / "out.mp4"
    target.write_text("keep me")
    with pytest.raises(OutputError, match="exists already"):
        VideoWriter(target, template=probe(source))
    assert target.read_text() == "keep me"
    with VideoWriter(target, template=probe(source), overwrite=True) as writer:
        writer.write(frame())
        assert target.read_text() == "keep me"
    assert probe(target).frames == 1


def test_file_that_appears_meanwhile(source, tmp_path):
    target = tmp_path / "out.mp4"
    writer = VideoWriter(target, template=probe(source))
    writer.write(frame())
    target.write_text("other")
    with pytest.raises(OutputError, match="exists already"):
        writer.close()
    assert target.read_text() == "other" and names(tmp_path) == {"in.mp4", "out.mp4"}


def test_input_as_output(source, tmp_path):
    before = source.read_bytes()
    os.link(source, tmp_path / "hard.mp4")
    (tmp_path / "soft.mp4").symlink_to(source)
    for name in ("in.mp4", "hard.mp4", "soft.mp4", "../" + tmp_path.name + "/in.mp4"):
        with pytest.raises(OutputError, match="input itself"):
            VideoWriter(tmp_path / name, template=probe(source), overwrite=True)
    assert source.read_bytes() == before


def test_a_link_keeps_being_a_link(source, tmp_path):
    (tmp_path / "real.mp4").touch()
    (tmp_path / "link.mp4").symlink_to("real.mp4")
    link = tmp_path / "link.mp4"
    with VideoWriter(link, template=probe(source), overwrite=True) as writer:
        writer.write(frame())
    assert link.is_symlink() and probe(tmp_path / "real.mp4").frames == 1


def test_places_that_take_no_file(source, tmp_path):
    info = probe(source)
    cases = {
        tmp_path / "none" / "out.mp4": "does not exist",
        source / "out.mp4": "does not exist|not a directory",
        tmp_path: "is a directory",
    }
    for path, message in cases.items():
        with pytest.raises(OutputError, match=message):
            VideoWriter(path, template=info, overwrite=True)
    with pytest.raises(OutputError, match="not a plain file"):
        VideoWriter("/dev/null", template=info, overwrite=True)
    assert names(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_unwritable_folder(source, tmp_path, monkeypatch, code):
    info = probe(source)

    def refuse(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(PartialPath, "open", refuse)
    with pytest.raises(OutputError, match="no permission"):
        VideoWriter(tmp_path / "out.mp4", template=info)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.mp4", {"codec": "nonsense"}, "no video encoder is called 'nonsense'"),
        ("out.mp4", {"codec": "aac"}, "no video encoder is called 'aac'"),
        ("out.webm", {}, "does not support 'libx264'"),
        ("out.xyz", {}, "refused"),
        ("out", {}, "refused"),
        ("out.png", {}, "name of a picture"),
        ("out.mp4", {"pixel_format": "rgb24"}, "refused"),
        ("out.mp4", {"pixel_format": "nonsense"}, "refused"),
        ("out.mp4", {"preset": "nonsense"}, "refused"),
        ("out.mkv", {"codec": "ffv1", "preset": "slow"}, "does not know: preset"),
    ],
)
def test_settings_that_do_not_go_together(source, tmp_path, name, options, message):
    with pytest.raises(OutputError, match=message) as caught:
        VideoWriter(tmp_path / name, template=probe(source), **options)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == {"in.mp4"}


def test_frame_of_another_size(source, tmp_path):
    with (
        pytest.raises(OutputError, match="48x64x3"),
        VideoWriter(tmp_path / "out.mp4", template=probe(source)) as writer,
    ):
        writer.write(frame(size=(32, 48)))
    assert names(tmp_path) == {"in.mp4"}


def test_nothing_written(source, tmp_path):
    with (
        pytest.raises(OutputError, match="no frame was written"),
        VideoWriter(tmp_path / "out.mp4", template=probe(source)),
    ):
        pass
    assert names(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_interruption_leaves_nothing(source, tmp_path, kind):
    with (
        pytest.raises(kind),
        VideoReader(source) as reader,
        VideoWriter(tmp_path / "out.mp4", template=reader) as writer,
    ):
        for number, picture in enumerate(reader):
            writer.write(picture)
            assert len(names(tmp_path)) == 2
            if number == 5:
                raise kind
    assert names(tmp_path) == {"in.mp4"}


def test_interruption_while_closing(source, tmp_path, monkeypatch):
    def interrupt(_self, _seconds):
        raise KeyboardInterrupt

    writer = VideoWriter(tmp_path / "out.mp4", template=probe(source))
    writer.write(frame())
    monkeypatch.setattr(StreamCopier, "copy_until", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    assert names(tmp_path) == {"in.mp4"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_disk_full(source, tmp_path, monkeypatch, name):
    plain = PartialPath.open

    def full(self, *args, **kwargs):
        if "partial" not in self.name:
            return plain(self, *args, **kwargs)
        # Every write to this device fails as on a full disk.
        self.symlink_to("/dev/full")
        return plain(self, "rb")

    monkeypatch.setattr(PartialPath, "open", full)
    noise = np.random.default_rng(0)
    with (
        pytest.raises(OutputError, match="disk full"),
        VideoReader(source) as reader,
        VideoWriter(tmp_path / name, template=reader, crf=1) as writer,
    ):
        for picture in reader:
            picture.pixels[:] = noise.integers(0, 255, picture.pixels.shape)
            writer.write(picture)
    assert names(tmp_path) == {"in.mp4"}


def test_close_twice(source, tmp_path):
    with VideoWriter(tmp_path / "out.mp4", template=probe(source)) as writer:
        writer.write(frame())
        writer.close()
    writer.abort()
    assert names(tmp_path) == {"in.mp4", "out.mp4"}


def test_a_closed_file_takes_no_frame(source, tmp_path):
    writer = VideoWriter(tmp_path / "out.mp4", template=probe(source))
    writer.write(frame())
    writer.close()
    with pytest.raises(OutputError, match="is closed"):
        writer.write(frame())


def test_what_a_killed_job_left_is_removed(source, tmp_path):
    info = probe(source)
    running = VideoWriter(tmp_path / "out.mp4", template=info)
    (left,) = [p for p in tmp_path.iterdir() if "partial" in p.name]
    killed = left.with_name(".out.partial-1-0.mp4")
    fresh = left.with_name(".out.partial-2-0.mp4")
    others = [left.with_name(n) for n in (".out.partial-1-0.mkv", ".out2.partial-1-0.mp4")]
    for path in (killed, fresh, *others):
        path.write_bytes(b"some frames")
    for path in (killed, left, *others):
        os.utime(path, (1e9, 1e9))
    with VideoWriter(tmp_path / "out.mp4", template=info, overwrite=True) as writer:
        writer.write(frame())
        assert not killed.exists()
    assert left.exists() and fresh.exists() and all(path.exists() for path in others)
    running.abort()
    assert not left.exists()
