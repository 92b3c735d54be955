"""``rainclear synth``: files, pairs, halves, records and sheets."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rainclear.data.deadleaves import dead_leaves
from rainclear.frame import Frame
from rainclear.rain.presets import PRESETS
from rainclear.rain.record import RainRecord
from rainclear.video import VideoInfo, VideoReader, VideoWriter, read_image, write_image


@pytest.fixture
def scene() -> np.ndarray:
    return np.ascontiguousarray(dead_leaves(np.random.default_rng(3), 128)[:72])


@pytest.fixture
def clean(scene: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "in" / "clean.png"
    path.parent.mkdir()
    write_image(path, scene)
    return path


@pytest.fixture
def video(scene: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "drive.mp4"
    info = VideoInfo(path=Path(), width=128, height=72, time_base=Fraction(1, 1000))
    with VideoWriter(path, template=info, crf=0, keep_streams=False) as writer:
        for i in range(3):
            pixels = np.ascontiguousarray(np.roll(scene, 2 * i, axis=1))
            writer.write(Frame(pixels=pixels, pts=40 * i, time_base=Fraction(1, 1000), index=i))
    return path


def test_the_record_makes_the_same_picture_again(rainclear, read_json, clean, scene, tmp_path):
    out = tmp_path / "rainy.png"
    options = ["--preset", "heavy", "--rate", "25", "--speed", "80", "--drops", "0.2"]
    assert rainclear("synth", clean, "-o", out, *options, "--seed", "9").code == 0
    data = read_json(tmp_path / "rainy.rain.json")
    assert data["rate"] == 25
    assert data["params"]["rainfall"]["speed"] == 80
    assert data["params"]["drops"]["coverage"] == 0.2
    again = RainRecord.from_json(data, source="rainy.rain.json").clip()
    rainy = np.rint(again(scene.astype(np.float32) / np.float32(255)).rainy * 255)
    assert np.array_equal(read_image(out).pixels, rainy.astype(np.uint8))


def test_a_folder_becomes_pairs(rainclear, read_json, clean, scene, tmp_path):
    (clean.parent / "deep").mkdir()
    write_image(clean.parent / "deep" / "other.jpg", scene)
    out = tmp_path / "pairs"
    result = rainclear("synth", clean.parent, "-o", out, "--masks", "--preset", "storm")
    assert result.code == 0, result.err
    for kind in ("rain", "clean", "drop-only", "streaks", "drops"):
        for name in ("clean.png", "deep/other.png"):
            assert read_image(out / kind / name).pixels.shape == scene.shape, (kind, name)
    assert np.array_equal(read_image(out / "clean" / "clean.png").pixels, scene)
    records = [read_json(out / "meta" / name) for name in ("clean.json", "deep/other.json")]
    assert records[0]["seed"] != records[1]["seed"]
    # The same file rains the same, whatever else lies in the folder.
    (clean.parent / "deep" / "other.jpg").unlink()
    assert rainclear("synth", clean.parent, "-o", tmp_path / "b", "--preset", "storm").code == 0
    one, two = (tmp_path / p / "rain" / "clean.png" for p in ("pairs", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_pairs_of_a_video_keep_the_video_itself(rainclear, video, tmp_path):
    out = tmp_path / "pairs"
    folder = video.parent / "videos"
    folder.mkdir()
    video = video.rename(folder / video.name)
    assert rainclear("synth", folder, "-o", out).code == 0
    assert (out / "clean" / "drive.mp4").read_bytes() == video.read_bytes()
    with VideoReader(out / "rain" / "drive.mp4") as rainy, VideoReader(video) as before:
        assert [f.time for f in rainy] == [f.time for f in before]


def test_halves_of_a_dual_pixel_sensor(rainclear, clean, tmp_path):
    out = tmp_path / "rainy.png"
    wide = dead_leaves(np.random.default_rng(4), 480)[:270]  # blur goes with the size in pixels
    write_image(clean, np.ascontiguousarray(wide), overwrite=True)
    options = ["--dual-pixel", "--preset", "windshield", "--drops", "0.5"]
    assert rainclear("synth", clean, "-o", out, *options).code == 0
    left, right, both = (
        read_image(tmp_path / name).pixels.astype(float)
        for name in ("rainy.left.png", "rainy.right.png", "rainy.png")
    )
    assert np.abs(left - right).max() > 5
    assert np.abs((left + right) / 2 - both).max() <= 1.5


def test_a_sheet_of_all_presets(rainclear, clean, scene, tmp_path):
    out = tmp_path / "sheet.png"
    assert rainclear("synth", clean, "--sheet", "-o", out).code == 0
    sheet = read_image(out).pixels
    rows = -(-(1 + len(PRESETS)) // 3)
    assert sheet.shape == (rows * 270, 3 * 480, 3)
    tiles = [
        sheet[270 * (i // 3) : 270 * (i // 3 + 1), 480 * (i % 3) : 480 * (i % 3 + 1)]
        for i in range(1 + len(PRESETS))
    ]
    for tile in tiles[1:]:
        assert np.abs(tile.astype(int) - tiles[0]).mean() > 0.5


def test_a_sheet_of_a_video(rainclear, video, tmp_path):
    assert rainclear("synth", video, "--sheet", "-o", tmp_path / "sheet.jpg").code == 0
    assert read_image(tmp_path / "sheet.jpg").pixels.shape[1] == 3 * 480


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "hail"], "no rain preset named 'hail'"),
        (["--rate", "-3"], "0 to 300 mm/h, not -3"),
        (["--speed", "999"], "0 to 250 km/h, not 999"),
        (["--drops", "2"], "not 2"),
    ],
)
def test_bad_values_leave_nothing(rainclear, clean, tmp_path, options, message):
    result = rainclear("synth", clean, "-o", tmp_path / "out.png", *options)
    assert message in result.error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_what_is_there_is_not_replaced(rainclear, clean, tmp_path):
    out = tmp_path / "rainy.png"
    (tmp_path / "rainy.rain.json").write_text("mine")
    assert "rainy.rain.json: exists" in rainclear("synth", clean, "-o", out).error
    assert not out.exists()
    assert rainclear("synth", clean, "-o", out, "--overwrite").code == 0


def test_two_pictures_of_one_name(rainclear, clean, scene, tmp_path):
    write_image(clean.with_suffix(".jpg"), scene)
    error = rainclear("synth", clean.parent, "-o", tmp_path / "pairs").error
    assert "clean.jpg" in error
    assert "clean.png" in error
    assert "would both become" in error


def test_an_empty_folder(rainclear, tmp_path):
    (tmp_path / "in").mkdir()
    error = rainclear("synth", tmp_path / "in", "-o", tmp_path / "out").error
    assert "holds no video or picture" in error
