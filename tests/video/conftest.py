"""Tiny videos, written with PyAV alone so that the package is not tested against itself."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SIZE = (64, 48)
MakeVideo = Callable[..., Path]


def picture(index: int, width: int, height: int, pixel_format: str) -> av.VideoFrame:
    """A smooth picture that moves with the index."""
    y, x = np.mgrid[0:height, 0:width]
    red = 60 + 100 * x / width + 2 * index
    green = 60 + 100 * y / height
    blue = np.full_like(red, 90)
    rgb = np.stack([red, green, blue], -1).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixel_format)


def add_sound(container: av.container.OutputContainer, codec: str) -> av.audio.AudioStream:
    stream = container.add_stream(codec, rate=48000)
    stream.metadata["language"] = "deu"
    return stream


def encode_sound(container, stream, seconds: float) -> None:
    planar = stream.codec_context.format.is_planar
    for block in range(int(seconds * 50)):
        tone = np.sin((np.arange(960) + block * 960) / 15) * 0.3
        if planar:
            samples = np.stack([tone, tone]).astype(np.float32)
        else:
            samples = (np.repeat(tone, 2)[None] * 32767).astype(np.int16)
        name = "fltp" if planar else "s16"
        frame = av.AudioFrame.from_ndarray(samples, format=name, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, block * 960, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    def make(
        name: str = "in.mp4",
        *,
        pts: Sequence[int] = range(12),
        time_base: Fraction = Fraction(1, 25),
        codec: str = "libx264",
        size: tuple[int, int] = SIZE,
        pixel_format: str = "yuv420p",
        sound: str | None = None,
        rotation: int | None = None,
        chapters: bool = False,
        tags: tuple[int, int, int, int] | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        prepare: Callable[[av.container.OutputContainer, av.VideoStream], object] | None = None,
    ) -> Path:
        path = tmp_path / name
        scale = {"movie_timescale": str(time_base.denominator)} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", container_options=scale | (container_options or {})) as out:
            stream = out.add_stream(codec, rate=25, time_base=time_base, options=options or {})
            stream.time_base = time_base
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            if tags:
                context = stream.codec_context
                context.colorspace, context.color_range = tags[0], tags[1]
                context.color_primaries, context.color_trc = tags[2], tags[3]
            if rotation is not None:
                stream.set_display_rotation(rotation)
            if chapters:
                out.metadata["title"] = "rain on the A5"
                mark = {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000)}
                out.set_chapters([mark | {"metadata": {"title": "bridge"}}])
            audio = add_sound(out, sound) if sound else None
            if prepare:
                prepare(out, stream)
            out.start_encoding()
            for index, stamp in enumerate(pts):
                frame = picture(index, *size, pixel_format)
                frame.pts, frame.time_base = stamp, time_base
                if tags:
                    frame.colorspace, frame.color_range = tags[0], tags[1]
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if audio:
                encode_sound(out, audio, len(pts) / 25)
        return path

    return make


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        with av.open(str(tmp_path / name), "w") as out:
            encode_sound(out, add_sound(out, "aac"), 0.2)
        return tmp_path / name

    return make
