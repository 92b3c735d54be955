import errno

import cv2
import numpy as np
import pytest

from rainclear.errors import InputError, OutputError
from rainclear.video import is_image, is_video, read_image, write_image
from rainclear.video.partial import Path as PartialPath

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "ä ö.bmp", "b.tiff", "c.PNG"])
def test_lossless_round_trip_in_rgb_order(tmp_path, name):
    write_image(tmp_path / name, RGB)
    frame = read_image(tmp_path / name)
    assert np.array_equal(frame.pixels, RGB) and frame.pts is None
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_sixteen_bits(tmp_path):
    deep = (RGB // 2).astype(np.uint16) * 257 + 3
    write_image(tmp_path / "a.png", deep[::-1])
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, deep[::-1])
    write_image(tmp_path / "a.bmp", deep)
    assert np.array_equal(read_image(tmp_path / "a.bmp").pixels, RGB // 2)


def test_exif_orientation_is_applied(tmp_path):
    done, data = cv2.imencode(".jpg", np.zeros((20, 30, 3), np.uint8))
    turned = bytes.fromhex("4d4d002a00000008000101120003000000010006000000000000")
    body = b"Exif\0\0" + turned
    exif = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    (tmp_path / "a.jpg").write_bytes(data.tobytes()[:2] + exif + data.tobytes()[2:])
    assert done and read_image(tmp_path / "a.jpg").pixels.shape == (30, 20, 3)


def test_input_errors(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").touch()
    for name in ("bad.png", "empty.png"):
        with pytest.raises(InputError, match="not a picture"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="directory"):
        read_image(tmp_path)


def test_output_errors(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, RGB)
    with pytest.raises(OutputError, match="exists already"):
        write_image(path, RGB)
    write_image(path, RGB[::-1], overwrite=True)
    assert np.array_equal(read_image(path).pixels, RGB[::-1])
    with pytest.raises(OutputError, match="unknown kind"):
        write_image(tmp_path / "a.xyz", RGB)
    with pytest.raises(OutputError, match="does not exist"):
        write_image(tmp_path / "none" / "a.png", RGB)
    with pytest.raises(ValueError, match="uint8 or uint16"):
        write_image(tmp_path / "b.png", RGB.astype(np.float32))

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartialPath, "write_bytes", full)
    with pytest.raises(OutputError, match="disk full"):
        write_image(tmp_path / "c.png", RGB)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_suffixes():
    assert is_image("a.JPG") and not is_image("a.mp4") and not is_image("png")
    assert is_video("b/a.MP4") and not is_video("a.png") and not is_video("mp4")
