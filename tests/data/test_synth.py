from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rainclear.data.synth import rain_on_file
from rainclear.errors import OutputError
from rainclear.frame import Frame
from rainclear.rain.presets import preset
from rainclear.video import VideoInfo, VideoReader, VideoWriter, read_image, write_image

RAIN = preset("heavy", height=48)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "clean.mp4"
    info = VideoInfo(path=Path(), width=64, height=48, time_base=Fraction(1, 1000))
    pixels = np.full((48, 64, 3), 90, np.uint8)
    with VideoWriter(path, template=info, keep_streams=False) as writer:
        for i, pts in enumerate((0, 40, 100, 120)):
            writer.write(Frame(pixels=pixels, pts=pts, time_base=Fraction(1, 1000), index=i))
    return path


def frames(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def test_video_gets_rain_and_keeps_its_times(clean: Path, tmp_path: Path):
    out = tmp_path / "rainy.mp4"
    assert rain_on_file(clean, out, RAIN, crf=0) == 4
    before, after = frames(clean), frames(out)
    assert [f.time for f in after] == [f.time for f in before]
    assert np.abs(after[0].pixels.astype(int) - before[0].pixels).max() > 30


def test_masks_are_written_beside(clean: Path, tmp_path: Path):
    out = tmp_path / "rainy.mp4"
    rain_on_file(clean, out, RAIN, masks=True)
    streaks, drops = frames(tmp_path / "rainy.streaks.mp4"), frames(tmp_path / "rainy.drops.mp4")
    assert len(streaks) == len(drops) == 4
    assert streaks[0].pixels.max() > 40


def test_picture_and_its_masks(tmp_path: Path):
    source, out = tmp_path / "clean.png", tmp_path / "rainy.png"
    write_image(source, np.full((48, 64, 3), 90, np.uint8))
    assert rain_on_file(source, out, RAIN, seed=2, masks=True) == 1
    again = tmp_path / "again.png"
    rain_on_file(source, again, RAIN, seed=2)
    assert np.array_equal(read_image(out).pixels, read_image(again).pixels)
    changed = np.abs(read_image(out).pixels.astype(int) - 90).max(axis=2) > 60
    masks = [read_image(tmp_path / f"rainy.{kind}.png").pixels for kind in ("streaks", "drops")]
    assert (np.maximum(*masks)[changed] > 60).all()


def test_deep_pictures_stay_deep(tmp_path: Path):
    source, out = tmp_path / "clean.png", tmp_path / "rainy.png"
    write_image(source, np.full((48, 64, 3), 23456, np.uint16))
    rain_on_file(source, out, RAIN)
    assert read_image(out).pixels.dtype == np.uint16


def test_failure_leaves_no_file(clean: Path, tmp_path: Path):
    (tmp_path / "rainy.drops.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        rain_on_file(clean, tmp_path / "rainy.mp4", RAIN, masks=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clean.mp4", "rainy.drops.mp4"]
