"""Opens whatever a pipeline reads from, and turns its frames upright."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from rainclear.errors import InputError, StageError
from rainclear.frame import Frame
from rainclear.pipeline.spec import SourceSpec
from rainclear.runtime.feed import LiveFeed
from rainclear.video import ReadReport, VideoInfo, VideoReader, is_image, read_image
from rainclear.video.live import CameraCapture, Capture, is_live, open_capture

__all__ = ["OpenSource", "open_source", "source_name"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSource:
    """A source that is being read.

    Attributes:
        frames: Its frames, upright, once.
        info: Its description as the frames are: upright.
        live: Whether it is a camera or network stream.
        report: What was read so far.
    """

    frames: Iterator[Frame]
    info: VideoInfo
    live: bool
    report: Callable[[], ReadReport]


def source_name(path: int | str) -> str:
    """What output names say: the file's name without suffix, or ``camera-0``."""
    if isinstance(path, int) or (path.isdigit() and is_live(path)):
        return f"camera-{path}"
    return "stream" if "://" in path else Path(path).stem


@contextmanager
def open_source(spec: SourceSpec) -> Iterator[OpenSource]:
    """Open a source for one pass.

    Raises:
        InputError: There is none, or it cannot be opened.
        StageError: A camera or network stream does not answer.
    """
    path = spec.path
    if path is None:
        raise InputError("the pipeline has no source: give a video, a picture or a camera's number")
    if isinstance(path, int) or is_live(path):
        with _live(path, spec) as source:
            yield source
    elif is_image(path):
        frame = read_image(path)
        height, width = frame.pixels.shape[:2]
        info = VideoInfo(path=Path(path), width=width, height=height, time_base=frame.time_base)
        yield _opened(iter([frame]), replace(info, frames=1), spec)
    else:
        with VideoReader(path) as reader:
            yield _opened(iter(reader), reader.info, spec, report=lambda: reader.report)


def _opened(
    frames: Iterator[Frame],
    info: VideoInfo,
    spec: SourceSpec,
    *,
    live: bool = False,
    report: Callable[[], ReadReport] = ReadReport,
) -> OpenSource:
    if info.rotation:
        turned = info.rotation % 180 == 90
        width, height = (info.height, info.width) if turned else (info.width, info.height)
        aspect = info.sample_aspect_ratio
        info = replace(
            info,
            width=width,
            height=height,
            rotation=0,
            display_matrix=None,
            sample_aspect_ratio=1 / aspect if aspect and turned else aspect,
        )
    if spec.frames is not None:
        count = spec.frames if info.frames is None else min(info.frames, spec.frames)
        info = replace(info, frames=count)
    return OpenSource(
        frames=islice(map(_upright, frames), spec.frames), info=info, live=live, report=report
    )


def _upright(frame: Frame) -> Frame:
    if not frame.rotation:
        return frame
    pixels = np.ascontiguousarray(np.rot90(frame.pixels, frame.rotation // 90))
    return replace(frame, pixels=pixels, rotation=0)


@contextmanager
def _live(path: int | str, spec: SourceSpec) -> Iterator[OpenSource]:
    """A camera or network stream, read in a thread of its own; its loss is its end.

    Frames wait for the pipeline, since an address may be that of a file, none of whose frames is to
    be dropped.
    """

    def connect() -> Capture:
        return CameraCapture(path) if isinstance(path, int) else open_capture(path)

    lost: list[str] = []

    def until_lost(frames: Iterator[Frame]) -> Iterator[Frame]:
        try:
            yield from frames
        except (InputError, StageError) as error:
            lost.append(str(error))

    with LiveFeed(connect, policy="block", depth=1, reconnect=False, give_up=None) as feed:
        frames = iter(feed)
        first = next(frames, None)
        if first is None:
            raise InputError(f"{path}: ended before its first frame")
        yield _opened(
            chain([first], until_lost(frames)),
            _live_info(source_name(path), first),
            spec,
            live=True,
            report=lambda: ReadReport(message=lost[0] if lost else None),
        )


def _live_info(name: str, frame: Frame) -> VideoInfo:
    """What the first frame of a live source says of all."""
    height, width = frame.pixels.shape[:2]
    return VideoInfo(
        path=Path(name),
        width=width,
        height=height,
        time_base=frame.time_base,
        rate=1 / (frame.duration * frame.time_base) if frame.duration > 0 else None,
        rotation=frame.rotation,
        color=frame.color,
    )
