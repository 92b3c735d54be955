"""Conversions against the formulas in floats, and chroma against where files say that it lies."""

from itertools import pairwise

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, VideoReformatter

from rainclear.frame import ColorDescription
from rainclear.video.colour import bit_depth, interpolation_for, swscale_matrix
from rainclear.video.convert import FrameToRGB, RGBToFrame

# Luma weights of red and blue.
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
LIMITED, FULL = 1, 2
EVERY_MEANING = pytest.mark.parametrize(
    ("matrix", "value_range"), [(m, r) for m in WEIGHTS for r in (LIMITED, FULL)]
)
WIDTH, HEIGHT = 150, 98


def busy(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """RGB in floats with edges and noise of one pixel, all of it off the ends of the range."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 9 + y / 23 + turn) for turn in (0, 2, 4)]
    blocks = ((x // 7 + y // 5) % 3)[..., None] * (9, -7, 8)
    noise = np.random.default_rng(5).uniform(-9, 9, (height, width, 3))
    return np.clip(128 + 50 * np.stack(waves, -1) + blocks + noise, 40, 215)


def scales(value_range: int) -> tuple[float, float, float]:
    """Luma of black, span of luma and span of chroma in code values."""
    return (16, 219, 224) if value_range == LIMITED else (0, 255, 255)


def to_yuv(rgb: np.ndarray, matrix: int, value_range: int) -> list[np.ndarray]:
    weight_r, weight_b = WEIGHTS[matrix]
    black, luma_span, chroma_span = scales(value_range)
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = weight_r * red + (1 - weight_r - weight_b) * green + weight_b * blue
    differences = (blue - luma) / (2 - 2 * weight_b), (red - luma) / (2 - 2 * weight_r)
    return [black + luma_span * luma, *(128 + chroma_span * d for d in differences)]


def to_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray, matrix: int, value_range: int):
    weight_r, weight_b = WEIGHTS[matrix]
    black, luma_span, chroma_span = scales(value_range)
    luma, blue, red = (
        (luma - black) / luma_span,
        (blue - 128) / chroma_span,
        (red - 128) / chroma_span,
    )
    r, b = luma + (2 - 2 * weight_r) * red, luma + (2 - 2 * weight_b) * blue
    g = (luma - weight_r * r - weight_b * b) / (1 - weight_r - weight_b)
    return 255 * np.clip(np.stack([r, g, b], -1), 0, 1)


def halved(chroma: np.ndarray, siting: str) -> np.ndarray:
    """4:2:0 by weights 1 3 3 1 down and, across, 1 2 1 around the left column or 1 1."""
    padded = np.pad(chroma, 1, "edge")
    left, middle, right = padded[:, 0:-2:2], padded[:, 1:-1:2], padded[:, 2::2]
    across = (left + 2 * middle + right) / 4 if siting == "left" else (middle + right) / 2
    return (across[0:-3:2] + 3 * across[1:-2:2] + 3 * across[2:-1:2] + across[3::2]) / 8


def doubled(chroma: np.ndarray) -> np.ndarray:
    """4:4:4 of samples that lie in the middle of four pixels, by weights 3 and 1 each way."""
    for axis in (0, 1):
        rows = np.moveaxis(np.pad(chroma, 1, "edge"), axis, 0)[:, 1:-1]
        before, here, after = rows[:-2], rows[1:-1], rows[2:]
        both = np.stack([(before + 3 * here) / 4, (3 * here + after) / 4], 1)
        chroma = np.moveaxis(both.reshape(-1, rows.shape[1]), 0, axis)
    return chroma


def samples(frame: av.VideoFrame) -> list[np.ndarray]:
    """Luma, blue and red difference as integers; nv12 is taken apart."""
    kind = np.dtype(np.uint8 if bit_depth(frame.format.name) == 8 else np.uint16)
    rows = [
        np.frombuffer(p, kind).reshape(-1, p.line_size // kind.itemsize).astype(int)
        for p in frame.planes
    ]
    width, half = frame.width, -(-frame.width // 2)
    if len(rows) == 2:
        return [rows[0][:, :width], rows[1][:, : 2 * half : 2], rows[1][:, 1 : 2 * half : 2]]
    return [r[:, : p.width] for r, p in zip(rows, frame.planes, strict=True)]


def filled(pixel_format: str, parts: list[np.ndarray]) -> av.VideoFrame:
    frame = av.VideoFrame(parts[0].shape[1], parts[0].shape[0], pixel_format)
    if len(frame.planes) == 2:
        parts = [parts[0], np.stack(parts[1:], -1).reshape(len(parts[1]), -1)]
    for plane, part in zip(frame.planes, parts, strict=True):
        rows = np.full((plane.height, plane.line_size), 77, np.uint8)
        rows[:, : part.shape[1]] = part
        plane.update(rows.tobytes())
    return frame


@EVERY_MEANING
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12"])
def test_rgb_is_the_formula_rounded(pixel_format, matrix, value_range):
    luma, *chroma = to_yuv(busy(), matrix, value_range)
    parts = [np.round(p) for p in (luma, *(halved(c, "centre") for c in chroma))]
    frame = filled(pixel_format, parts)
    assert any(plane.line_size > WIDTH for plane in frame.planes)
    color = ColorDescription(matrix=matrix, range=value_range, pixel_format=pixel_format)
    expected = to_rgb(parts[0], *map(doubled, parts[1:]), matrix, value_range)
    off = FrameToRGB()(frame, color) - expected
    assert abs(off).max() < 0.6
    assert abs(off.mean((0, 1))).max() < 0.02


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("siting", ["left", "centre"])
@pytest.mark.parametrize(
    ("pixel_format", "value_range"),
    [("yuv420p", LIMITED), ("yuv420p", FULL), ("yuvj420p", FULL), ("nv12", LIMITED)],
)
def test_yuv_is_the_formula_rounded(pixel_format, siting, matrix, value_range):
    rgb = np.round(busy()).astype(np.uint8)
    color = ColorDescription(matrix=matrix, range=value_range, pixel_format=pixel_format)
    convert = RGBToFrame(
        width=WIDTH, height=HEIGHT, pixel_format=pixel_format, color=color, siting=siting
    )
    luma, *chroma = to_yuv(rgb, matrix, value_range)
    expected = [luma, *(halved(c, siting) for c in chroma)]
    for part, exact in zip(samples(convert(rgb)), expected, strict=True):
        assert abs(part - exact).max() < 0.6
        assert abs((part - exact).mean()) < 0.03


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (151, 97), (2, 2), (1, 1), (1, 5), (7, 1)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "nv12", "gray", "yuv420p10le"])
def test_planes_joined_are_what_swscale_packs(pixel_format, size):
    width, height = size
    deep = bit_depth(pixel_format) > 8
    rgb = busy(width, height).astype(np.uint8)
    color = ColorDescription(matrix=1, range=LIMITED, pixel_format=pixel_format)
    frame = RGBToFrame(width=width, height=height, pixel_format=pixel_format, color=color)(rgb)
    matrix = swscale_matrix(color, height)
    packed = VideoReformatter().reformat(
        frame,
        format="rgb48le" if deep else "rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=interpolation_for(pixel_format),
    )
    joined = FrameToRGB()(frame, color)
    assert joined.dtype == (np.uint16 if deep else np.uint8)
    assert joined.flags.c_contiguous and joined.flags.writeable
    off = joined.astype(int) - packed.to_ndarray()
    if height % 2 == 0:
        assert not off.any()
    assert abs(off).max() <= 1 and abs(off).mean() < 0.01


@pytest.mark.parametrize("pixel_format", ["yuv420p", "rgb24", "gbrp", "yuv420p10le"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_strides_of_the_array_do_not_matter(pixel_format, kind):
    rgb = busy().astype(kind) * (257 if kind == np.uint16 else 1)
    convert = RGBToFrame(
        width=HEIGHT, height=WIDTH, pixel_format=pixel_format, color=ColorDescription(matrix=1)
    )
    for turned in (np.rot90(rgb), np.rot90(rgb, -1), rgb.transpose(1, 0, 2)[:, ::-1, ::-1]):
        plain = convert(np.ascontiguousarray(turned))
        assert not turned.flags.c_contiguous
        for one, other in zip(samples(convert(turned)), samples(plain), strict=True):
            assert np.array_equal(one, other)


def test_results_are_not_overwritten_by_the_next():
    color = ColorDescription(matrix=1, range=LIMITED)
    to_frame, from_frame = (
        RGBToFrame(width=64, height=48, pixel_format="yuv420p", color=color, siting="left"),
        FrameToRGB(),
    )
    frames = [to_frame(np.full((48, 64, 3), level, np.uint8)) for level in (50, 200)]
    pictures = [from_frame(frame, color) for frame in frames]
    assert abs(pictures[0].astype(int) - 50).max() <= 1
    assert abs(pictures[1].astype(int) - 200).max() <= 1


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("value_range", [LIMITED, FULL])
def test_ten_generations_keep_every_colour(pixel_format, value_range):
    y, x = np.mgrid[0:96, 0:128]
    waves = [np.sin(x / 40 + y / 30 + turn) for turn in (0, 2, 4)]
    rgb = first = np.round(128 + 60 * np.stack(waves, -1)).astype(np.uint8)
    color = ColorDescription(matrix=1, range=value_range, pixel_format=pixel_format)
    to_frame = RGBToFrame(width=128, height=96, pixel_format=pixel_format, color=color)
    from_frame = FrameToRGB()
    for _ in range(10):
        rgb = from_frame(to_frame(rgb), color)
    assert abs((rgb.astype(int) - first).mean((0, 1))).max() < 0.3


@pytest.mark.parametrize("value_range", [LIMITED, FULL])
def test_grey_stays_grey(value_range):
    color = ColorDescription(matrix=1, range=value_range, pixel_format="yuv420p")
    convert = RGBToFrame(width=16, height=256, pixel_format="yuv420p", color=color)
    levels = np.arange(256, dtype=np.uint8)
    frame = convert(np.broadcast_to(levels[:, None, None], (256, 16, 3)))
    assert all((part == 128).all() for part in samples(frame)[1:])
    if value_range == FULL:
        assert (samples(frame)[0] == levels[:, None]).all()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_colours_stay_in_place_through_ten_files(tmp_path, pixel_format):
    width, height = 128, 96
    y, x = np.mgrid[0:height, 0:width]
    spot = np.exp(-((x - 64) ** 2 + (y - 48) ** 2) / 200)[..., None]
    rgb = first = np.round(110 + spot * (100, 0, -60)).astype(np.uint8)
    color = ColorDescription(matrix=1, range=LIMITED, pixel_format=pixel_format)

    def place(picture: np.ndarray) -> float:
        redness = picture[..., 0].astype(float) - picture[..., 1]
        redness -= np.median(redness)
        return float((redness * x).sum() / redness.sum())

    generations = [place(first)]
    for _ in range(10):
        convert = RGBToFrame(
            width=width, height=height, pixel_format=pixel_format, color=color, siting="left"
        )
        path = str(tmp_path / "again.mp4")
        with av.open(path, "w") as out:
            stream = out.add_stream("libx264", rate=25, options={"qp": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
            frame = convert(rgb)
            frame.pts = 0
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        with av.open(path) as video:
            rgb = FrameToRGB()(next(video.decode(video=0)), color)
        generations.append(place(rgb))
    assert max(abs(a - b) for a, b in pairwise(generations)) < 0.1
    assert abs(generations[-1] - generations[0]) < 0.2
