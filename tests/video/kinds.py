"""How every kind of video in docs/video.md is made, by FFmpeg alone."""

import os
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

# The encoder for AV1 speaks on stderr; it asks for this once, when it is used first.
os.environ.setdefault("SVT_LOG", "1")

MakeVideo = Callable[..., Path]
Make = Callable[[MakeVideo], Path]

MS, TICKS = Fraction(1, 1000), Fraction(1, 90000)
X264_ALL_KEY = {"x264-params": "keyint=1:bframes=0"}
SILENT = {"x265-params": "log-level=none"}
SHORT_GOP = {"x264-params": "keyint=3:min-keyint=3:bframes=0:scenecut=0"}
FASTSTART = {"movflags": "faststart"}


@dataclass(frozen=True)
class Kind:
    """How a kind of video is made, and what its output is held to.

    Attributes:
        make: Writes the input.
        out: Name of the output.
        codec: Encoder of the output.
        tick: Seconds to which the output's container rounds time stamps, 0 where it keeps them;
            ``None`` where the input has none.
        later: Seconds by which every time stamp is later than in the input.
        turns: Quarters by which the pixels were turned.
        loss: Largest mean difference of the pixels, in levels of 255.
        broken: Whether FFmpeg itself stumbles over the input, which the page describes in words.
    """

    make: Make
    _: KW_ONLY
    out: str = "out.mp4"
    codec: str = "libx264"
    tick: Fraction | None = Fraction(0)
    later: Fraction = Fraction(0)
    turns: int = 0
    loss: float = 4.0
    broken: bool = False


def clip(**options: Any) -> Make:
    """A clip of six frames as the fixture ``make_video`` writes it."""
    return lambda make: make(**{"pts": range(6), **options})


def set_aspect(aspect: Fraction) -> Callable[..., None]:
    def prepare(out: av.container.OutputContainer, stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    return prepare


def changed(change: Callable[[bytes, list[tuple[int, int]]], bytes], **options: Any):
    """A clip whose bytes are changed; ``change`` also gets where each packet lies (at, size)."""

    def make(make_video: MakeVideo) -> Path:
        path = clip(**options)(make_video)
        with av.open(str(path)) as video:
            places = [(p.pos, p.size) for p in video.demux(video=0) if p.size]
        path.write_bytes(change(path.read_bytes(), places))
        return path

    return make


def plain(name: str, data: bytes):
    """A file of given bytes beside the videos."""

    def make(make_video: MakeVideo) -> Path:
        path = make_video("other.mkv", pts=range(1)).with_name(name)
        path.write_bytes(data)
        return path

    return make


def remuxed(
    change: Callable[[list[Any]], list[Any]],
    target: str,
    container_options: dict[str, str] | None = None,
    **options: Any,
):
    """A clip whose packets are changed and written to another container."""

    def make(make_video: MakeVideo) -> Path:
        source = clip(**options)(make_video)
        path = source.with_name(target)
        with (
            av.open(str(source)) as video,
            av.open(str(path), "w", container_options=container_options or {}) as out,
        ):
            stream = out.add_stream_from_template(video.streams.video[0])
            for packet in change([p for p in video.demux(video=0) if p.size]):
                packet.stream = stream
                out.mux(packet)
        return path

    return make


def joined(target: str, **sizes: Any):
    """Two transport streams one after the other, as recordings of broadcasts have it."""

    def make(make_video: MakeVideo) -> Path:
        one = make_video("one.ts", pts=range(3))
        two = make_video("two.ts", pts=range(5, 8), **sizes)
        path = one.with_name(target)
        path.write_bytes(one.read_bytes() + two.read_bytes())
        return path

    return make


def with_streams(name: str, add: Callable[..., Any]):
    """A clip with further streams; ``add`` gets the output and returns packets to write."""

    def make(make_video: MakeVideo) -> Path:
        source = make_video("plain.mkv", pts=range(6))
        path = source.with_name(name)
        with av.open(str(source)) as video, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(video.streams.video[0])
            extra = add(out, source.parent)
            for packet in [p for p in video.demux(video=0) if p.size]:
                packet.stream = stream
                out.mux(packet)
            for packet in extra():
                out.mux(packet)
        return path

    return make


def sound_only(make_video: MakeVideo) -> Path:
    source = make_video("plain.mkv", pts=range(6), sound="aac")
    path = source.with_name("in.mp4")
    with av.open(str(source)) as video, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(video.streams.audio[0])
        for packet in [p for p in video.demux(audio=0) if p.size]:
            packet.stream = stream
            out.mux(packet)
    return path


def subtitles(out: av.container.OutputContainer, folder: Path):
    """One line of text."""
    (folder / "lines.srt").write_text("1\n00:00:00,000 --> 00:00:00,200\nrain\n")
    lines = av.open(str(folder / "lines.srt"))
    stream = out.add_stream_from_template(lines.streams.subtitles[0])

    def packets():
        with lines:
            found = [p for p in lines.demux() if p.size]
            for packet in found:
                packet.stream = stream
            return found

    return packets


def second_video(cover: bool):
    def add(out, _folder):
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        if cover:
            stream.disposition = av.stream.Disposition.attached_pic

        def packets():
            made = []
            for n in range(1 if cover else 6):
                frame = av.VideoFrame(32, 32, "yuvj420p")
                frame.pts, frame.time_base = n, Fraction(1, 25)
                made += stream.encode(frame)
            return made + stream.encode(None)

        return packets

    return add


def until(packet: int, share: float = 0.0):
    """Cut a file off before a packet, or inside it after a share of it."""
    return lambda data, at: data[: at[packet][0] + int(at[packet][1] * share)]


def blotted(*packets: int):
    """Write over packets, as a bad card does."""

    def change(data: bytes, at: list[tuple[int, int]]) -> bytes:
        for packet in packets:
            start, size = at[packet]
            data = data[:start] + b"\xff" * size + data[start + size :]
        return data

    return change


def earlier(ticks: int):
    def change(packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
        return packets

    return change


MATROSKA: dict[str, Any] = {"out": "out.mkv", "tick": MS}
FFV1: dict[str, Any] = {**MATROSKA, "codec": "ffv1"}
WEBM: dict[str, Any] = {"out": "out.webm", "codec": "libvpx-vp9", "tick": MS}

KINDS: dict[str, Kind] = {
    # Codecs and containers
    "H.264 in MP4": Kind(clip()),
    "H.264 in QuickTime": Kind(clip(name="in.mov"), out="out.mov"),
    "H.264 with three B-frames in a row": Kind(
        clip(options={"x264-params": "bframes=3:b-adapt=0"})
    ),
    "H.264 in Matroska": Kind(clip(name="in.mkv"), **MATROSKA),
    "H.264 in a transport stream": Kind(clip(name="in.ts"), out="out.ts"),
    "H.264 without a container, so without times": Kind(clip(name="in.h264"), tick=None),
    "H.265": Kind(clip(codec="libx265", options=SILENT), codec="libx265"),
    "AV1": Kind(clip(codec="libsvtav1", options={"preset": "12"}), codec="libsvtav1"),
    "VP8 in WebM": Kind(clip(name="in.webm", codec="libvpx"), **WEBM),
    "VP9 in WebM": Kind(clip(name="in.webm", codec="libvpx-vp9"), **WEBM),
    "MPEG-4 part 2 in AVI": Kind(clip(name="in.avi", codec="mpeg4"), out="out.avi", codec="mpeg4"),
    "MPEG-2 in a program stream": Kind(clip(name="in.mpg", codec="mpeg2video")),
    "MPEG-2 in MXF": Kind(clip(name="in.mxf", codec="mpeg2video")),
    "MPEG-1": Kind(clip(name="in.mpg", codec="mpeg1video")),
    "H.263 in 3GP": Kind(clip(name="in.3gp", codec="h263", size=(176, 144))),
    "Motion JPEG": Kind(clip(name="in.avi", codec="mjpeg", pixel_format="yuvj422p")),
    "ProRes": Kind(clip(name="in.mov", codec="prores_ks", pixel_format="yuv422p10le")),
    "DNxHR": Kind(
        clip(
            name="in.mxf",
            codec="dnxhd",
            pixel_format="yuv422p10le",
            size=(256, 128),
            options={"profile": "dnxhr_hqx"},
        )
    ),
    "JPEG 2000": Kind(clip(name="in.mkv", codec="jpeg2000", pixel_format="gbrp12le")),
    "FFV1": Kind(clip(name="in.mkv", codec="ffv1", pixel_format="yuv444p16le"), **FFV1),
    "HuffYUV": Kind(clip(name="in.avi", codec="huffyuv", pixel_format="yuv422p")),
    "Ut Video": Kind(clip(name="in.avi", codec="utvideo", pixel_format="gbrp")),
    "Cinepak": Kind(clip(name="in.mov", codec="cinepak", pixel_format="rgb24"), loss=6),
    "Sorenson": Kind(clip(name="in.mov", codec="svq1", pixel_format="yuv410p")),
    "Flash video": Kind(clip(name="in.flv", codec="flv")),
    "Windows Media": Kind(clip(name="in.wmv", codec="wmv2")),
    "uncompressed RGB": Kind(clip(name="in.avi", codec="rawvideo", pixel_format="bgr24")),
    "YUV4MPEG": Kind(clip(name="in.y4m", codec="wrapped_avframe")),
    "animated GIF": Kind(
        clip(
            name="in.gif",
            codec="gif",
            pixel_format="bgr8",
            time_base=Fraction(1, 100),
            pts=range(0, 60, 10),
        ),
        loss=20,
    ),
    "animated PNG": Kind(clip(name="in.apng", codec="apng", pixel_format="rgb24")),
    "animated WebP": Kind(clip(name="in.webp", codec="libwebp_anim")),
    # Pixels
    "4:2:2": Kind(clip(pixel_format="yuv422p")),
    "4:4:4": Kind(clip(pixel_format="yuv444p")),
    "4:4:0": Kind(clip(name="in.webm", codec="libvpx-vp9", pixel_format="yuv440p")),
    "4:1:1": Kind(clip(name="in.avi", codec="ffvhuff", pixel_format="yuv411p")),
    "10 bits": Kind(clip(pixel_format="yuv420p10le")),
    "12 bits": Kind(
        clip(codec="libx265", pixel_format="yuv422p12le", options=SILENT), codec="libx265"
    ),
    "RGB of 16 bits": Kind(clip(name="in.mov", codec="png", pixel_format="rgb48be"), **FFV1),
    "grey": Kind(clip(name="in.nut", codec="ffvhuff", pixel_format="gray")),
    "grey of 16 bits": Kind(clip(name="in.nut", codec="ffvhuff", pixel_format="gray16le")),
    "transparency, which is dropped": Kind(clip(name="in.mov", codec="qtrle", pixel_format="argb")),
    "full range": Kind(clip(tags=(6, 2, 6, 6))),
    "BT.709": Kind(clip(tags=(1, 1, 1, 1))),
    "HDR10": Kind(
        clip(codec="libx265", pixel_format="yuv420p10le", tags=(9, 1, 9, 16), options=SILENT),
        codec="libx265",
    ),
    "HLG": Kind(clip(pixel_format="yuv420p10le", tags=(9, 1, 9, 18))),
    # Shapes
    "odd width and height": Kind(clip(name="in.mkv", codec="ffv1", size=(65, 49))),
    "one pixel": Kind(clip(name="in.mkv", codec="ffv1", size=(1, 1)), loss=10),
    "narrow and high": Kind(clip(size=(16, 400))),
    "pixels that are not square": Kind(clip(prepare=set_aspect(Fraction(4, 3)))),
    "turned by a quarter": Kind(clip(rotation=90)),
    "turned, into a container that cannot say so": Kind(
        clip(rotation=90), out="out.avi", codec="mpeg4", turns=1
    ),
    "upside down": Kind(clip(rotation=180), **MATROSKA),
    "interlaced": Kind(clip(options={"x264-params": "tff=1"})),
    "interlaced, lower field first": Kind(clip(options={"x264-params": "bff=1"})),
    "DV, interlaced, into a codec that cannot say so": Kind(
        clip(name="in.avi", codec="dvvideo", size=(720, 576), pts=range(2)), **FFV1
    ),
    "another size from the middle on": Kind(joined("in.ts", size=(32, 32))),
    # Times
    "uneven frame rate": Kind(clip(pts=[0, 1000, 2500, 2600, 9000, 20000], time_base=TICKS)),
    "30000/1001 frames a second": Kind(clip(time_base=Fraction(1001, 30000))),
    "1000 frames a second": Kind(clip(time_base=MS)),
    "a frame a minute": Kind(clip(time_base=Fraction(60))),
    "late start": Kind(clip(pts=range(50, 56))),
    "start before zero": Kind(
        clip(
            name="in.mkv",
            codec="mpeg4",
            pts=range(-3, 3),
            container_options={"avoid_negative_ts": "disabled"},
        ),
        later=Fraction(3, 25),
    ),
    "edit list that hides two frames": Kind(
        remuxed(earlier(80), "in.mp4", name="plain.mkv", options=X264_ALL_KEY)
    ),
    "one frame": Kind(clip(pts=range(1))),
    "pause of an hour": Kind(clip(pts=[0, 1, 2, 90000, 90001, 90002])),
    # Other streams
    "sound": Kind(clip(sound="aac")),
    "PCM sound from AVI, which names no channels": Kind(
        clip(name="in.avi", codec="mpeg4", sound="pcm_s16le")
    ),
    "sound that the container cannot hold": Kind(clip(sound="aac"), **WEBM),
    "subtitles": Kind(with_streams("in.mkv", subtitles), **MATROSKA),
    "subtitles that the container cannot hold": Kind(with_streams("in.mkv", subtitles)),
    "two videos": Kind(with_streams("in.mkv", second_video(False))),
    "cover art": Kind(with_streams("in.mp4", second_video(True))),
    # Damage
    "MP4 cut off before its index": Kind(changed(until(4)), broken=True),
    "MP4 cut off between frames": Kind(
        changed(until(4), options=X264_ALL_KEY, container_options=FASTSTART)
    ),
    "MP4 cut off inside a frame": Kind(
        changed(until(4, 0.5), options=X264_ALL_KEY, container_options=FASTSTART), broken=True
    ),
    "Matroska cut off": Kind(
        changed(until(4, 0.5), name="in.mkv", options=X264_ALL_KEY, pts=range(0, 60, 10))
    ),
    "AVI cut off": Kind(changed(until(4, 0.5), name="in.avi", codec="mpeg4"), broken=True),
    "transport stream cut off inside a frame": Kind(
        changed(until(4, 0.5), name="in.ts", options=X264_ALL_KEY, size=(320, 240)), loss=6
    ),
    "a damaged key frame among others": Kind(
        changed(blotted(3), options=X264_ALL_KEY), broken=True
    ),
    "a damaged predicted frame": Kind(
        changed(blotted(3), name="in.avi", codec="mpeg4"), broken=True
    ),
    "nothing but damage": Kind(changed(blotted(*range(6))), broken=True),
    "no key frame at the start": Kind(
        remuxed(lambda p: p[1:], "in.ts", name="plain.mkv", pts=range(9), options=SHORT_GOP)
    ),
    "no key frame at all": Kind(
        remuxed(
            lambda p: p[1:],
            "in.mkv",
            name="plain.nut",
            options={"x264-params": "bframes=0:scenecut=0"},
        ),
        broken=True,
    ),
    "a head and no frames, AVI": Kind(clip(name="in.avi", codec="mpeg4", pts=[]), broken=True),
    "a head and no frames, Matroska": Kind(clip(name="in.mkv", pts=[]), broken=True),
    "sound only": Kind(sound_only, broken=True),
    "a file of no bytes": Kind(plain("in.mp4", b""), broken=True),
    "text called .mp4": Kind(plain("in.mp4", b"It rained all day.\n" * 50), broken=True),
    "noise called .mkv": Kind(plain("in.mkv", bytes(range(256)) * 20), broken=True),
}
"""Every kind by its name on the page."""
