import av
import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.frame import ColorDescription
from rainclear.video.colour import (
    bit_depth,
    chroma_shift,
    guessed_matrix,
    range_of,
    swscale_matrix,
)
from rainclear.video.convert import FrameToRGB, RGBToFrame

WIDTH, HEIGHT = 64, 48
# Luma weights of red and blue.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def smooth(pixel_format: str, full: bool) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    depth = bit_depth(pixel_format)
    low, high = (0, 255) if full else (16, 235)
    for number, plane in enumerate(frame.planes):
        y, x = np.mgrid[0 : plane.height, 0 : plane.width]
        across, down = x / plane.width, y / plane.height
        values = low + 60 + (high - low - 120) * (0.6 * across + 0.4 * down)
        if number:
            values = 128 + (20, -25)[number - 1] * np.cos(3 * across + 2 * down)
        store(plane, np.round(values * 2 ** (depth - 8)), depth)
    return frame


def store(plane, values, depth: int) -> None:
    kind = np.uint8 if depth == 8 else np.uint16
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1).copy()
    rows[:, : plane.width] = values
    plane.update(rows.tobytes())


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    kind = np.uint8 if bit_depth(frame.format.name) == 8 else np.uint16
    return [
        np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].astype(int) for p in frame.planes
    ]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("value_range", [1, 2])
def test_yuv_survives_rgb_within_two_code_values(pixel_format, matrix, value_range):
    color = ColorDescription(matrix=matrix, range=value_range, pixel_format=pixel_format)
    source = smooth(pixel_format, value_range == 2)
    rgb = FrameToRGB()(source, color)
    assert rgb.dtype == (np.uint16 if "10" in pixel_format else np.uint8)
    back = RGBToFrame(width=WIDTH, height=HEIGHT, pixel_format=pixel_format, color=color)(rgb)
    for before, after in zip(planes(source), planes(back), strict=True):
        assert abs(before - after).max() <= 2


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("value_range", [1, 2])
def test_rgb_follows_the_formula(matrix, value_range):
    frame = smooth("yuv444p", value_range == 2)
    color = ColorDescription(matrix=matrix, range=value_range, pixel_format="yuv444p")
    luma, blue, red = (p.astype(float) for p in planes(frame))
    if value_range == 1:
        luma, blue, red = (luma - 16) / 219, (blue - 128) / 224, (red - 128) / 224
    else:
        luma, blue, red = luma / 255, (blue - 128) / 255, (red - 128) / 255
    weight_r, weight_b = WEIGHTS[matrix]
    r, b = luma + 2 * (1 - weight_r) * red, luma + 2 * (1 - weight_b) * blue
    g = (luma - weight_r * r - weight_b * b) / (1 - weight_r - weight_b)
    expected = 255 * np.clip(np.stack([r, g, b], -1), 0, 1)
    assert abs(FrameToRGB()(frame, color) - expected).max() < 1


def test_five_generations_do_not_darken():
    color = ColorDescription(matrix=1, range=1)
    first = frame = smooth("yuv420p", False)
    to_yuv = RGBToFrame(width=WIDTH, height=HEIGHT, pixel_format="yuv420p", color=color)
    for _ in range(5):
        frame = to_yuv(FrameToRGB()(frame, color))
    assert abs((planes(frame)[0] - planes(first)[0]).mean()) < 0.3


def test_unnamed_matrix_and_range():
    unnamed = ColorDescription()
    assert guessed_matrix(576) == 6 and guessed_matrix(720) == 1
    assert swscale_matrix(unnamed, 576) != swscale_matrix(unnamed, 1080)
    assert range_of(unnamed).name == "MPEG"
    assert range_of(ColorDescription(pixel_format="yuvj420p")).name == "JPEG"


def test_matrix_that_cannot_be_computed():
    with pytest.raises(InputError, match="colour matrix 8"):
        swscale_matrix(ColorDescription(matrix=8), 1080)


@pytest.mark.parametrize(
    ("name", "depth", "shift"),
    [
        ("yuv420p", 8, (1, 1)),
        ("yuvj422p", 8, (1, 0)),
        ("p010le", 10, (1, 1)),
        ("yuv444p12le", 12, (0, 0)),
        ("pal8", 8, (1, 1)),
        ("gray", 8, (1, 1)),
    ],
)
def test_formats(name, depth, shift):
    assert (bit_depth(name), chroma_shift(name)) == (depth, shift)


def test_rgb_source_is_copied():
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9, np.uint8), "rgb24")
    rgb = FrameToRGB()(frame, ColorDescription(pixel_format="rgb24"))
    rgb[:] = 200
    assert frame.to_ndarray().max() == 9


def test_wrong_picture_is_refused():
    convert = RGBToFrame(width=64, height=48, pixel_format="yuv420p", color=ColorDescription())
    with pytest.raises(ValueError, match="48x64x3"):
        convert(np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(ValueError, match="float32"):
        convert(np.zeros((48, 64, 3), np.float32))
