"""Opens whatever a pipeline reads from, and turns its frames upright."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rainclear.errors import InputError
from rainclear.frame import ColorDescription, Frame
from rainclear.pipeline.spec import SourceSpec
from rainclear.video import ReadReport, VideoInfo, VideoReader, is_image, read_image

__all__ = ["OpenSource", "open_source", "source_name"]

_LIVE_TIME_BASE = Fraction(1, 1000)


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
    if isinstance(path, int):
        return f"camera-{path}"
    return "stream" if "://" in path else Path(path).stem


@contextmanager
def open_source(spec: SourceSpec) -> Iterator[OpenSource]:
    """Open a source for one pass.

    Raises:
        InputError: There is none, or it cannot be opened.
    """
    path = spec.path
    if path is None:
        raise InputError("the pipeline has no source: give a video, a picture or a camera's number")
    if isinstance(path, str) and path.isdigit() and not Path(path).exists():
        path = int(path)
    if isinstance(path, int) or "://" in path:
        with _live(path) as (frames, info):
            yield _opened(frames, info, spec, live=True)
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
def _live(path: int | str) -> Iterator[tuple[Iterator[Frame], VideoInfo]]:
    capture: Any = cv2.VideoCapture(path)
    try:
        if not capture.isOpened():
            what = f"camera {path}" if isinstance(path, int) else path
            raise InputError(f"{what}: cannot be opened; is it there, and free?")
        rate = capture.get(cv2.CAP_PROP_FPS)
        yield (
            _camera_frames(capture),
            VideoInfo(
                path=Path(source_name(path)),
                width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
                height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
                time_base=_LIVE_TIME_BASE,
                rate=Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None,
            ),
        )
    finally:
        capture.release()


def _camera_frames(capture: Any) -> Iterator[Frame]:
    started, last, index = time.monotonic(), -1, 0
    while True:
        done, bgr = capture.read()
        if not done:
            return
        last = max(last + 1, round((time.monotonic() - started) / _LIVE_TIME_BASE))
        yield Frame(
            pixels=cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB),
            pts=last,
            time_base=_LIVE_TIME_BASE,
            index=index,
            color=ColorDescription(),
        )
        index += 1
