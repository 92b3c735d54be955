"""The tables of docs/video.md: what they say goes in and comes out is measured, with PyAV alone."""

import importlib.util
import re
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.codec import UnknownCodecError
from av.stream import Disposition

from rainclear.errors import RainclearError
from rainclear.video import VideoReader, VideoWriter
from rainclear.video.animation import animation_as_video, is_animated_webp

_spec = importlib.util.spec_from_file_location("kinds", Path(__file__).with_name("kinds.py"))
kinds = importlib.util.module_from_spec(_spec)
sys.modules["kinds"] = kinds
_spec.loader.exec_module(kinds)

PAGE = Path(__file__).parents[2] / "docs" / "video.md"
TRANSFERS = {16: "PQ", 18: "HLG"}
PRIMARIES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}


def main_video(container: av.container.InputContainer) -> av.VideoStream:
    return next(s for s in container.streams.video if not s.disposition & Disposition.attached_pic)


def opened(path: Path):
    """FFmpeg cannot decode animated WebP; test_animation shows that what is read then is right."""
    return av.open(animation_as_video(path) if is_animated_webp(path) else str(path))


def facts(path: Path) -> str:
    """Container, codec, pixels, and all that differs from six even frames of 64×48 from zero on."""
    with opened(path) as video:
        stream = main_video(video)
        context = stream.codec_context
        others = [
            s.codec_context.name if s.codec_context else s.type
            for s in video.streams
            if s is not stream
        ]
        frames = list(video.decode(stream))
        times = [f.pts * f.time_base if f.pts is not None else None for f in frames]
        first = frames[0]
        codec = re.sub("^lib|(dav1d)", lambda m: "av1" if m[1] else "", context.name)
        parts = [f"{path.suffix[1:]} {codec} {first.format.name}"]
        if (first.width, first.height) != (64, 48):
            parts[0] += f" {first.width}×{first.height}"
        if len(frames) != 6:
            parts.append(f"{len(frames)} frame" + "s" * (len(frames) != 1))
        if first.color_primaries in PRIMARIES:
            parts.append(PRIMARIES[first.color_primaries])
        if first.color_trc in TRANSFERS:
            parts.append(TRANSFERS[first.color_trc])
        if first.color_range == 2 and "yuvj" not in first.format.name:
            parts.append("full range")
        if first.rotation % 360:
            parts.append(f"turned {first.rotation % 360}°")
        if (stream.sample_aspect_ratio or 1) != 1:
            parts.append(f"pixels {stream.sample_aspect_ratio}")
        if first.interlaced_frame:
            parts.append("interlaced")
        if times[0]:
            parts.append(f"from {float(times[0]):g} s")
        if None not in times and len({b - a for a, b in pairwise(times)}) > 1:
            parts.append("uneven times")
        return ", ".join(parts + others)


def times(path: Path) -> list[Fraction | None]:
    with opened(path) as video:
        return [
            f.pts * f.time_base if f.pts is not None else None
            for f in video.decode(main_video(video))
        ]


def first_picture(path: Path) -> np.ndarray:
    with opened(path) as video:
        return next(video.decode(main_video(video))).to_ndarray(format="rgb24").astype(int)


def rewrite(source: Path, target: Path, codec: str) -> tuple[str, str]:
    """Read and write again: facts of the output, and what the user is told."""
    try:
        with (
            VideoReader(source) as reader,
            VideoWriter(target, template=reader, codec=codec, crf=10) as writer,
        ):
            for frame in reader:
                writer.write(frame)
    except RainclearError as error:
        return "–", f"{type(error).__name__}: {error}".replace(f"{source.parent}/", "")
    told = [reader.report.message, *writer.notes]
    return facts(target), "; ".join(line for line in told if line)


def rounded(time: Fraction, tick: Fraction) -> Fraction:
    return round(time / tick) * tick if tick else time


def claims() -> dict[str, tuple[str, str, str]]:
    """What the page says went in, came out and was told, by kind."""
    text = PAGE.read_text(encoding="utf-8").split("## Every kind of video")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return {name: (one, two, told) for name, one, two, told in cells if name}


CLAIMS = claims()


def test_the_page_names_every_kind():
    assert list(CLAIMS) == list(kinds.KINDS) and len(CLAIMS) > 25


@pytest.mark.parametrize("name", CLAIMS)
def test_what_comes_out(name, make_video, tmp_path):
    kind, (went_in, came_out, told) = kinds.KINDS[name], CLAIMS[name]
    try:
        av.codec.Codec(kind.codec, "w")
        source, target = kind.make(make_video), tmp_path / kind.out
    except UnknownCodecError as error:
        pytest.skip(f"FFmpeg was built without {error}")
    before = source.read_bytes()
    assert kind.broken or facts(source) == went_in
    assert rewrite(source, target, kind.codec) == (came_out, told)
    assert source.read_bytes() == before
    assert target.exists() == (came_out != "–")
    assert not any("partial" in path.name for path in tmp_path.iterdir())
    if kind.broken:
        return
    if kind.tick is not None:
        assert times(target) == [rounded(time, kind.tick) + kind.later for time in times(source)]
    lost = first_picture(target) - np.rot90(first_picture(source), kind.turns)
    assert abs(lost).mean() < kind.loss
