import errno
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rainclear.errors import InputError, OutputError
from rainclear.runtime.batch import derain_batch
from rainclear.runtime.file_job import run_file
from rainclear.runtime.jobs import derain_file, derain_picture, derain_video
from rainclear.runtime.options import EncodeOptions, JobOptions
from rainclear.runtime.plan import plan
from rainclear.video import VideoReader
from rainclear.video.mux import Muxer
from rainclear.video.part import Part

LOSSLESS = EncodeOptions(codec="libx264", crf=0, preset="ultrafast")


def sizes(path: Path) -> tuple[int, int, int]:
    with av.open(str(path)) as video:
        frames = list(video.decode(video=0))
        return len(frames), frames[0].width, frames[0].height


def test_every_uneven_time_stamp_is_kept(derainer, make_video, stamps, tmp_path):
    source = make_video(pts=[0, 10, 11, 40, 95, 300], time_base=Fraction(1, 1000))
    derain_video(source, tmp_path / "out.mp4", derainer=derainer)
    assert stamps(tmp_path / "out.mp4") == stamps(source)
    assert len(stamps(source)) == 6


def test_sound_is_copied_packet_for_packet(derainer, make_video, tmp_path):
    def sound(path: Path) -> list[bytes]:
        with av.open(str(path)) as video:
            return [bytes(packet) for packet in video.demux(audio=0) if packet.size]

    source = make_video(sound=True)
    derain_video(source, tmp_path / "out.mp4", derainer=derainer)
    assert sound(source) and sound(tmp_path / "out.mp4") == sound(source)


def test_pixels_are_those_of_the_derainer(derainer, make_video, tmp_path):
    source, output = make_video(pts=range(3), options={"crf": "0"}), tmp_path / "out.mp4"
    derain_video(source, output, derainer=derainer, encode=LOSSLESS)

    def rgb(path: Path) -> list[np.ndarray]:
        with av.open(str(path)) as video:
            return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]

    def apart(one: np.ndarray, other: np.ndarray) -> float:
        # Colours are halved on the way, brightness is not.
        return np.abs((one.astype(float) - other) @ (0.299, 0.587, 0.114)).mean()

    derainer.reset()
    for before, after in zip(rgb(source), rgb(output), strict=True):
        assert apart(after, derainer.process(before)) < 1
        assert apart(after, before) > 2


def test_report(derainer, make_video, tmp_path):
    source, output = make_video(), tmp_path / "out.mp4"
    seen = []
    report = derain_video(
        source, output, derainer=derainer, on_frame=lambda *given: seen.append(given)
    )
    assert (report.input, report.output) == (str(source), str(output))
    assert report.frames == 5
    assert [(done, total) for done, total, _ in seen] == [(n, 5) for n in range(1, 6)]
    assert report.rain_score_mean == pytest.approx(np.mean([score for *_, score in seen]))
    assert 0 < report.rain_score_mean < 1
    assert report.fps == pytest.approx(5 / report.seconds)
    assert set(report.stage_seconds) == {"decode", "model", "encode"}
    assert all(0 < s < report.seconds for s in report.stage_seconds.values())
    assert report.cpu_seconds > report.overhead_seconds > 0 and report.peak_rss_mb > 50
    assert (report.corrupt_packets, report.truncated, report.notes) == (0, False, [])
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["frames"] == 5 and plain["fps"] == pytest.approx(report.fps)


def test_compare_is_twice_as_wide_with_the_rainy_half_on_the_left(derainer, make_video, tmp_path):
    source, output = make_video(pts=range(3)), tmp_path / "out.mp4"
    derain_video(source, output, derainer=derainer, compare=True, encode=LOSSLESS)
    assert sizes(output) == (3, 128, 48)
    with av.open(str(output)) as video:
        both = next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    with av.open(str(source)) as video:
        rainy = next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(both[:, :64] - rainy).mean() < 2
    assert np.abs(both[:, 64:] - rainy).mean() > 3


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_compare_shows_the_rainy_half_on_the_left_after_rotation(
    rotation, derainer, make_video, tmp_path
):
    source, output = make_video(pts=range(1), rotation=rotation), tmp_path / "out.mp4"
    derain_video(source, output, derainer=derainer, compare=True, encode=LOSSLESS)
    shown = []
    for path in (source, output):
        with VideoReader(path) as reader:
            frame = next(iter(reader))
        assert frame.rotation == rotation
        shown.append(np.rot90(frame.pixels, rotation // 90).astype(int))
    rainy, both = shown
    height, width = rainy.shape[:2]
    assert both.shape == (height, 2 * width, 3)
    assert np.abs(both[:, :width] - rainy).mean() < 2
    assert np.abs(both[:, width:] - rainy).mean() > 3


def test_a_used_derainer_starts_afresh(derainer, make_video, picture, tmp_path):
    source = make_video(pts=range(2))
    derain_video(source, tmp_path / "a.mp4", derainer=derainer, encode=LOSSLESS)
    derainer.process(picture(40))
    derain_video(source, tmp_path / "b.mp4", derainer=derainer, encode=LOSSLESS)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_model_by_folder(tiny_model, make_picture, tmp_path):
    report = derain_picture(
        make_picture(), tmp_path / "out.png", model=str(tiny_model), device="cpu"
    )
    assert report.frames == 1 and (tmp_path / "out.png").is_file()


def test_picture(derainer, make_picture, picture, tmp_path):
    report = derain_picture(make_picture(), tmp_path / "out.png", derainer=derainer)
    derainer.reset()
    wanted = derainer.process(picture())
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png"))[..., ::-1], wanted)
    assert report.frames == 1 and report.rain_score_mean == derainer.rain_score
    assert set(report.stage_seconds) == {"decode", "model", "encode"}
    assert sum(report.stage_seconds.values()) <= report.seconds


def test_picture_beside_its_source(derainer, make_picture, picture, tmp_path):
    derain_file(make_picture(), tmp_path / "out.png", derainer=derainer, compare=True)
    both = cv2.imread(str(tmp_path / "out.png"))[..., ::-1]
    assert both.shape == (48, 128, 3)
    np.testing.assert_array_equal(both[:, :64], picture())


@pytest.mark.parametrize("options", [{"part": Part(frames=3)}, {"stream": 0}])
def test_pictures_have_no_parts(derainer, make_picture, files_in, tmp_path, options):
    with pytest.raises(InputError, match="is a picture"):
        run_file(make_picture(), tmp_path / "out.png", derainer, JobOptions(**options))
    assert files_in(tmp_path) == {"in.png"}


def test_deep_picture_stays_deep(derainer, picture, tmp_path):
    cv2.imwrite(str(tmp_path / "in.png"), picture().astype(np.uint16)[..., ::-1] * 257)
    derain_picture(tmp_path / "in.png", tmp_path / "out.png", derainer=derainer)
    assert cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16


@pytest.mark.parametrize("kind", ["missing", "text", "sound-only", "empty"])
def test_unreadable_video(derainer, broken_video, files_in, tmp_path, kind):
    source = broken_video(kind)
    before = files_in(tmp_path)
    with pytest.raises(InputError, match=source.name):
        derain_video(source, tmp_path / "out.mp4", derainer=derainer)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("name", ["in.mp4", "in.png"])
def test_existing_output_is_kept_unless_told(
    derainer, make_video, make_picture, files_in, tmp_path, name
):
    source = make_video(name) if name.endswith("mp4") else make_picture(name)
    output = tmp_path / f"out{source.suffix}"
    output.write_text("keep me")
    with pytest.raises(OutputError, match="exists already"):
        derain_file(source, output, derainer=derainer)
    assert output.read_text() == "keep me"
    derain_file(source, output, derainer=derainer, overwrite=True)
    assert output.stat().st_size > 100
    assert files_in(tmp_path) == {source.name, output.name}


def test_output_is_the_input(derainer, make_video, files_in, tmp_path):
    source = make_video()
    before = source.read_bytes()
    with pytest.raises(OutputError, match="input itself"):
        derain_video(source, source, derainer=derainer, overwrite=True)
    assert source.read_bytes() == before and files_in(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_interrupted_in_the_middle_nothing_is_left(derainer, make_video, files_in, tmp_path, error):
    source = make_video(pts=range(40), sound=True)

    def interrupt(done: int, total: int | None, score: float) -> None:
        assert len(files_in(tmp_path)) == 2  # the input and the partial file
        if done == 3:
            raise error

    with pytest.raises(error):
        derain_video(source, tmp_path / "out.mp4", derainer=derainer, on_frame=interrupt)
    assert files_in(tmp_path) == {"in.mp4"}


def test_interrupted_while_overwriting_the_old_file_stays(derainer, make_video, files_in, tmp_path):
    output = tmp_path / "out.mp4"
    output.write_text("keep me")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        derain_video(make_video(), output, derainer=derainer, overwrite=True, on_frame=interrupt)
    assert output.read_text() == "keep me" and files_in(tmp_path) == {"in.mp4", "out.mp4"}


def test_error_of_the_network_leaves_nothing(derainer, make_video, files_in, monkeypatch, tmp_path):
    calls = []

    def fail(pixels: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("out of memory")
        return pixels

    monkeypatch.setattr(derainer, "process", fail)
    with pytest.raises(MemoryError, match="out of memory"):
        derain_video(make_video(), tmp_path / "out.mp4", derainer=derainer)
    assert files_in(tmp_path) == {"in.mp4"}


@pytest.mark.parametrize("when", ["in the middle", "at the end"])
def test_disk_full_while_a_video_is_written(
    derainer, make_video, files_in, monkeypatch, tmp_path, when
):
    real = Muxer.put

    def put(self, packets, *, last=False):
        if last or when == "in the middle":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, packets, last=last)

    monkeypatch.setattr(Muxer, "put", put)
    with pytest.raises(OutputError, match=r"out\.mp4: disk full"):
        derain_video(make_video(), tmp_path / "out.mp4", derainer=derainer)
    assert files_in(tmp_path) == {"in.mp4"}


def test_disk_full_while_a_picture_is_written(
    derainer, make_picture, files_in, monkeypatch, tmp_path
):
    source = make_picture()

    def write_bytes(self, data):
        self.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OutputError, match=r"out\.png: disk full"):
        derain_picture(source, tmp_path / "out.png", derainer=derainer)
    assert files_in(tmp_path) == {"in.png"}


def test_a_cut_off_video_gives_what_decodes_and_a_note(derainer, make_video, stamps, tmp_path):
    source = make_video(pts=range(30), faststart=True, options={"g": "5", "qp": "10"})
    whole = stamps(source)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    report = derain_video(source, tmp_path / "out.mp4", derainer=derainer)
    assert 5 < report.frames < 30
    assert report.truncated and len(report.notes) == 1 and "cut off" in report.notes[0]
    assert stamps(tmp_path / "out.mp4") == whole[: report.frames]


def test_a_broken_file_in_a_folder_does_not_stop_the_rest(
    derainer, make_video, make_picture, files_in, tmp_path
):
    make_video("in/a/drive.mp4", pts=range(2))
    make_picture("in/z.png")
    (tmp_path / "in" / "broken.mp4").write_text("no video")
    (tmp_path / "in" / "notes.txt").write_text("wet")
    out = tmp_path / "out"
    tasks = plan([tmp_path / "in"], out)
    started, ended = [], []
    batch = derain_batch(
        tasks,
        derainer,
        JobOptions(),
        make_folders=True,
        on_start=lambda task: started.append(task) or (lambda *_: None),
        on_done=lambda task, result: ended.append((task, result)),
    )
    assert files_in(out) == {"a/drive.mp4", "z.png"}
    assert [Path(done.input).name for done in batch.done] == ["drive.mp4", "z.png"]
    ((task, error),) = batch.failed
    assert task.source.name == "broken.mp4" and isinstance(error, InputError)
    assert started == tasks == [task for task, _ in ended]
    assert [isinstance(result, InputError) for _, result in ended] == [False, True, False]


def test_ctrl_c_ends_a_batch(derainer, make_video, files_in, tmp_path):
    make_video("in/a.mp4")
    make_video("in/b.mp4")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        derain_batch(
            plan([tmp_path / "in"], tmp_path / "out"),
            derainer,
            JobOptions(),
            make_folders=True,
            on_start=lambda task: interrupt,
        )
    assert files_in(tmp_path) == {"in/a.mp4", "in/b.mp4"}


def test_a_folder_that_cannot_be_made_fails_that_file_alone(derainer, make_picture, tmp_path):
    make_picture("in/a/x.png")
    make_picture("in/b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("a file in the way")
    batch = derain_batch(
        plan([tmp_path / "in"], tmp_path / "out"), derainer, JobOptions(), make_folders=True
    )
    assert len(batch.done) == 1
    assert isinstance(batch.failed[0][1], OutputError)
    assert "out/a: cannot be made" in str(batch.failed[0][1])
