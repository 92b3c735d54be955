import signal

import av
import pytest

import rainclear.runtime.segments as segments
from rainclear.runtime.job_folder import folder_of


@pytest.fixture
def derain(rainclear, tiny_model):
    def run(*arguments):
        common = ["--model", tiny_model, "--device", "cpu", "--segment", 2, "--resume"]
        return rainclear("derain", *arguments, *common)

    return run


@pytest.fixture
def part(rainclear, tiny_model):
    """Derains without --resume."""
    return lambda *arguments: rainclear(
        "derain", *arguments, "--model", tiny_model, "--device", "cpu"
    )


@pytest.fixture
def press_ctrl_c(monkeypatch):
    """Presses Ctrl-C when so many frames were encoded since."""
    real, left = segments.SegmentWriter.write, [0]

    def write(self, frame):
        real(self, frame)
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(segments.SegmentWriter, "write", write)
    return lambda after: left.__setitem__(0, after)


def test_ctrl_c_says_how_to_go_on(derain, make_video, stamps, press_ctrl_c, tmp_path):
    source, output = make_video(pts=range(7), sound=True), tmp_path / "out.mp4"
    press_ctrl_c(after=5)
    result = derain(source, "-o", output)
    assert result.code == 130 and not output.exists()
    note, last = result.err.splitlines()
    assert note == (
        f"note: 4 frames are kept in {output}.part; the same command goes on from there"
    )
    assert last.startswith("interrupted")
    result = derain(source, "-o", output)
    assert (result.code, result.err) == (0, "")
    assert f"{output}: 7 frames" in result.out
    assert stamps(output) == stamps(source) and not folder_of(output).exists()
    result = derain(source, "-o", output)
    assert (result.code, result.out) == (0, f"{output}: is finished already\n")


def test_other_options_and_their_remedy(derain, make_video, press_ctrl_c, tmp_path):
    source, output = make_video(pts=range(6)), tmp_path / "out.mp4"
    press_ctrl_c(after=5)
    assert derain(source, "-o", output).code == 130
    error = derain(source, "-o", output, "--crf", 30).error
    assert "--crf (18, now 30)" in error and "begin anew with --overwrite" in error
    assert derain(source, "-o", output, "--crf", 30, "--overwrite").code == 0


def test_a_folder_skips_what_is_finished(
    derain, make_video, make_picture, read_json, files_in, tmp_path
):
    make_video("in/a.mp4", pts=range(3))
    make_video("in/deep/b.mp4", pts=range(3))
    make_picture("in/c.png")
    (tmp_path / "in" / "broken.mp4").write_text("no video")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").write_text("finished")
    result = derain(tmp_path / "in", "-o", tmp_path / "out", "--report", tmp_path / "r.json")
    assert result.code == 1
    assert "broken.mp4: not a video" in result.err and "1 of 4 files failed" in result.err
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0] == ["frames", "dry", "fps", "rain", "file"]
    assert [line[0] for line in lines[1:5]] == ["done", "done", "finished", "failed"]
    assert {line[-1].rsplit("/", 1)[1] for line in lines[1:5]} == {
        "a.mp4", "b.mp4", "c.png", "broken.mp4"
    }  # fmt: skip
    assert result.out.endswith("4 files: 2 done, 1 finished before, 1 failed\n")
    assert (tmp_path / "out" / "a.mp4").read_text() == "finished"
    assert files_in(tmp_path / "out") == {"a.mp4", "deep/b.mp4", "c.png"}
    report = read_json(tmp_path / "r.json")
    assert [len(report[what]) for what in ("files", "failed", "skipped")] == [2, 1, 1]
    (tmp_path / "in" / "broken.mp4").unlink()
    assert derain(tmp_path / "in", "-o", tmp_path / "out").code == 0


def test_a_part_of_a_video(part, make_video, stamps, tmp_path):
    source, output = make_video(pts=range(25), sound=True), tmp_path / "out.mp4"
    result = part(source, "-o", output, "--start", "00:00:00.2", "--end", "0.6", "--frames", 8)
    assert (result.code, result.err) == (0, "")
    assert stamps(output) == [n - stamps(source)[5] for n in stamps(source)[5:13]]
    with av.open(str(output)) as video:
        last = [p.pts * p.time_base for p in video.demux(audio=0) if p.size][-1]
    assert 0.28 < last < 0.32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "soon"], "'soon' is not a time"),
        (["--start", 3, "--end", 2], "is empty"),
        (["--start", 60], "has no frame from 60 s on"),
        (["--stream", 4], "its videos are: 0 (h264 64x48)"),
        (["--segment", 10], "give both"),
    ],
)
def test_parts_that_are_not_there(part, make_video, files_in, tmp_path, options, message):
    assert message in part(make_video(), "-o", tmp_path / "out.mp4", *options).error
    assert files_in(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize("option", ["--start", "--end", "--frames", "--stream"])
def test_pictures_have_no_parts(part, make_video, make_picture, files_in, tmp_path, option):
    make_video("in/a.mp4")
    make_picture("in/b.png")
    error = part(tmp_path / "in", "-o", tmp_path / "out", option, 1).error
    assert "b.png: is a picture" in error and "give videos alone" in error
    assert files_in(tmp_path) == {"in/a.mp4", "in/b.png"}


@pytest.mark.parametrize("option", [["--start", 1], ["--frames", 3], ["--resume"]])
def test_live_sources_have_no_parts(part, tmp_path, option):
    error = part("rtsp://127.0.0.1:1/x", "-o", tmp_path / "o.mp4", *option).error
    assert "are for files" in error
