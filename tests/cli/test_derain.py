import shutil
import signal

import numpy as np
import pytest
import torch

from rainclear.video import VideoWriter


@pytest.fixture
def derain(rainclear, tiny_model):
    def run(*arguments, model=tiny_model, device="cpu"):
        return rainclear("derain", *arguments, "--model", model, "--device", device)

    return run


def test_a_video(derain, make_video, stamps, files_in, tmp_path):
    source, output = make_video(sound=True), tmp_path / "out.mp4"
    result = derain(source, "-o", output)
    assert (result.code, result.err) == (0, "")
    assert f"{output}: 5 frames" in result.out and "rain score 0." in result.out
    assert stamps(output) == stamps(source)
    assert files_in(tmp_path) == {"in.mp4", "out.mp4"}


def test_compare_and_encoder_options(derain, make_video, tmp_path):
    from rainclear.video import probe

    output = tmp_path / "out.mkv"
    options = ["--compare", "--codec", "libx265", "--crf", "30", "--preset", "ultrafast"]
    assert derain(make_video(), "-o", output, *options).code == 0
    info = probe(output)
    assert (info.width, info.height, info.codec) == (128, 48, "hevc")


@pytest.mark.parametrize(
    ("codec", "name"),
    [("mpeg4", "o.mp4"), ("ffv1", "o.mkv"), ("libvpx-vp9", "o.webm"), ("libsvtav1", "o.mkv")],
)
def test_every_codec_works_without_further_options(derain, make_video, tmp_path, codec, name):
    source = make_video(pts=range(2))
    result = derain(source, "-o", tmp_path / name, "--codec", codec)
    assert (result.code, result.err) == (0, "")


def test_report_of_one_file(derain, make_video, read_json, tmp_path):
    result = derain(make_video(), "-o", tmp_path / "out.mp4", "--report", tmp_path / "r.json")
    assert result.code == 0
    report = read_json(tmp_path / "r.json")
    assert report["frames"] == 5
    assert report["fps"] == pytest.approx(report["frames"] / report["seconds"])
    assert set(report["stage_seconds"]) == {"decode", "model", "encode"}
    assert all(seconds > 0 for seconds in report["stage_seconds"].values())
    assert 0 < report["rain_score_mean"] < 1
    assert report["peak_rss_mb"] > 50
    assert (report["truncated"], report["corrupt_packets"], report["notes"]) == (False, 0, [])


def test_report_that_cannot_be_written(derain, make_picture, tmp_path):
    (tmp_path / "file").touch()
    result = derain(
        make_picture(), "-o", tmp_path / "out.png", "--report", tmp_path / "file" / "r.json"
    )
    assert "the report cannot be written" in result.error


def test_a_folder_with_a_broken_file(
    derain, make_video, make_picture, read_json, files_in, tmp_path
):
    make_video("in/a/drive.mp4", pts=range(2))
    make_picture("in/z.png")
    (tmp_path / "in" / "broken.mp4").write_text("no video")
    result = derain(tmp_path / "in", "-o", tmp_path / "out", "--report", tmp_path / "r.json")
    assert result.code == 1
    first, second = result.err.splitlines()
    assert first.startswith("error: ") and "broken.mp4: not a video" in first
    assert second == "1 of 3 files failed"
    assert files_in(tmp_path / "out") == {"a/drive.mp4", "z.png"}
    report = read_json(tmp_path / "r.json")
    assert report["frames"] == 3 == sum(f["frames"] for f in report["files"])
    assert report["fps"] == pytest.approx(3 / report["seconds"])
    scores = [f["rain_score_mean"] for f in report["files"]]
    assert report["rain_score_mean"] == pytest.approx(np.average(scores, weights=[2, 1]))
    assert report["failed"][0]["input"].endswith("broken.mp4")


def test_running_again_with_the_results_inside_the_input_folder(
    derain, make_picture, files_in, tmp_path
):
    make_picture("in/a.png")
    for _ in range(2):
        assert derain(tmp_path / "in", "-o", tmp_path / "in" / "out", "--overwrite").code == 0
    assert files_in(tmp_path) == {"in/a.png", "in/out/a.png"}


def test_brackets_in_names_are_shown_as_they_are(derain, make_video, make_picture, tmp_path):
    source = make_picture("[bold]left[red].png")
    output = tmp_path / "[front]out.png"
    assert str(output) in derain(source, "-o", output).out
    assert str(output) in derain(source, "-o", output).error
    make_picture("in/[cam]b.png")
    (tmp_path / "in" / "[cam]a.mp4").write_text("no video")
    folder = tmp_path / "[" / "bold]"
    folder.mkdir(parents=True)
    result = derain(tmp_path / "in", "-o", folder)
    assert "[cam]a.mp4" in result.err and str(folder / "[cam]b.png") in result.out


def test_a_cut_off_video_is_written_with_a_note(derain, make_video, stamps, tmp_path):
    source = make_video(pts=range(30), faststart=True, options={"g": "5", "qp": "10"})
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    result = derain(source, "-o", tmp_path / "out.mp4")
    assert result.code == 0
    (line,) = result.err.splitlines()
    assert line.startswith(f"note: {source}: the file is cut off")
    assert 5 < len(stamps(tmp_path / "out.mp4")) < 30


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"),
        ("text", "not a video"),
        ("sound-only", "has sound only"),
        ("empty", "is empty"),
    ],
)
def test_unreadable_input(derain, broken_video, files_in, tmp_path, kind, reason):
    source = broken_video(kind)
    before = files_in(tmp_path)
    error = derain(source, "-o", tmp_path / "out.mp4").error
    assert str(source) in error and reason in error
    assert files_in(tmp_path) == before


def test_a_video_cut_off_before_its_index(derain, make_video, files_in, tmp_path):
    source = make_video()
    source.write_bytes(source.read_bytes()[:1500])
    assert "cut off and has no index" in derain(source, "-o", tmp_path / "out.mp4").error
    assert files_in(tmp_path) == {"in.mp4"}


def test_text_named_as_a_picture(derain, files_in, tmp_path):
    (tmp_path / "in.png").write_text("wet")
    assert "in.png: not a picture" in derain(tmp_path / "in.png", "-o", tmp_path / "o.png").error
    assert files_in(tmp_path) == {"in.png"}


def test_existing_output(derain, make_video, tmp_path):
    source, output = make_video(), tmp_path / "out.mp4"
    output.write_text("keep me")
    assert f"{output}: exists already" in derain(source, "-o", output).error
    assert output.read_text() == "keep me"
    assert derain(source, "-o", output, "--overwrite").code == 0
    assert output.stat().st_size > 500


def test_output_is_the_input(derain, make_video, tmp_path):
    source = make_video()
    before = source.read_bytes()
    assert "is the input itself" in derain(source, "-o", source, "--overwrite").error
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", ["out.mp4", "deeper/out.mp4"])
def test_unwritable_folder(derain, make_video, files_in, tmp_path, name):
    (tmp_path / "file").touch()
    output = tmp_path / "file" / name
    assert str(output) in derain(make_video(), "-o", output).error
    assert files_in(tmp_path) == {"file", "in.mp4"}


def test_unwritable_folder_for_several(derain, make_picture, files_in, tmp_path):
    (tmp_path / "file").touch()
    sources = [make_picture("a.png"), make_picture("b.png")]
    result = derain(*sources, "-o", tmp_path / "file" / "out")
    assert result.code == 1
    lines = result.err.splitlines()
    assert len(lines) == 3 and all("cannot be made" in line for line in lines[:2])
    assert files_in(tmp_path) == {"a.png", "b.png", "file"}


def test_unknown_codec(derain, make_video, files_in, tmp_path):
    error = derain(make_video(), "-o", tmp_path / "out.mp4", "--codec", "h267").error
    assert "'h267'" in error and "libx264" in error
    assert files_in(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize(
    ("name", "codec"), [("out.webm", "libx264"), ("out.xyz", "libx264"), ("out", "libx264")]
)
def test_container_that_does_not_take_the_codec(
    derain, make_video, files_in, tmp_path, name, codec
):
    assert name in derain(make_video(), "-o", tmp_path / name, "--codec", codec).error
    assert files_in(tmp_path) == {"in.mp4"}


def test_unknown_encoder_preset(derain, make_video, files_in, tmp_path):
    result = derain(make_video(), "-o", tmp_path / "out.mp4", "--preset", "warp")
    # x264 itself names the preset in a line before.
    assert result.code == 1 and result.err.splitlines()[-1].startswith("error: ")
    assert files_in(tmp_path) == {"in.mp4"}


def test_unknown_model(derain, make_video, files_in, tmp_path):
    error = derain(make_video(), "-o", tmp_path / "out.mp4", model="drain").error
    assert "'drain'" in error and "d-daiam-rt" in error
    assert files_in(tmp_path) == {"in.mp4"}


@pytest.fixture
def other_model(tiny_model, tmp_path_factory):
    return shutil.copytree(tiny_model, tmp_path_factory.mktemp("other") / "model")


def test_weights_with_a_wrong_checksum(derain, make_video, other_model, files_in, tmp_path):
    with (other_model / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    error = derain(make_video(), "-o", tmp_path / "out.mp4", model=other_model).error
    assert "does not match the checksum" in error
    assert files_in(tmp_path) == {"in.mp4"}


def test_model_file_with_an_error_of_several_lines(derain, make_video, other_model, tmp_path):
    (other_model / "model.yaml").write_text("name: [unclosed\nsummary: x\n")
    error = derain(make_video(), "-o", tmp_path / "out.mp4", model=other_model).error
    assert "is not valid YAML" in error


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_without_cuda(derain, make_video, files_in, monkeypatch, tmp_path, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    error = derain(make_video(), "-o", tmp_path / "out.mp4", device=device).error
    assert f"'{device}'" in error and "--device cpu" in error
    assert files_in(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize(("option", "value"), [("--device", "gpu"), ("--precision", "int4")])
def test_unknown_device_or_precision(rainclear, make_video, tiny_model, tmp_path, option, value):
    where = ["-o", tmp_path / "out.mp4", "--model", tiny_model]
    assert value in rainclear("derain", make_video(), *where, option, value).error


def test_ctrl_c_is_one_line_and_leaves_nothing(derain, make_video, files_in, monkeypatch, tmp_path):
    real = VideoWriter.write

    def write(self, frame):
        real(self, frame)
        if self.frames == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(VideoWriter, "write", write)
    result = derain(make_video(), "-o", tmp_path / "out.mp4")
    assert result.code == 130
    assert result.err == "interrupted: nothing was left half-written\n"
    assert files_in(tmp_path) == {"in.mp4"}


def test_an_unexpected_error_is_not_hidden(derain, make_video, files_in, monkeypatch, tmp_path):
    def write(self, frame):
        raise ZeroDivisionError

    monkeypatch.setattr(VideoWriter, "write", write)
    with pytest.raises(ZeroDivisionError):
        derain(make_video(), "-o", tmp_path / "out.mp4")
    assert files_in(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize("arguments", [[], ["in.mp4"], ["in.mp4", "-o", "o.mp4", "--crf", "low"]])
def test_wrong_usage(rainclear, arguments):
    result = rainclear("derain", *arguments)
    assert result.code == 2 and "Traceback" not in result.err and result.err
