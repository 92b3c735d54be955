"""One run of the page: check the file, rain on it if asked, derain it, keep what is shown."""

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.data.synth import rain_on_frame
from rainclear.detection.detections import Detector
from rainclear.errors import InputError
from rainclear.evaluation.metrics import psnr
from rainclear.frame import Frame
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.runtime.derainer import Derainer
from rainclear.video import (
    VideoInfo,
    VideoReader,
    VideoWriter,
    is_image,
    is_video,
    read_image,
    write_image,
)
from rainclear.web.objects import Objects, find_objects

__all__ = ["Limits", "Moment", "Result", "run"]

Pixels = npt.NDArray[np.uint8]
OnFrame = Callable[[int, int | None], None]

_MOMENTS = 12
_LISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0", b"[playlist]")
"""Beginnings of files that name other files or addresses, which FFmpeg would open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one run may cost.

    Attributes:
        megabytes: Largest file, in 10⁶ bytes.
        seconds: Part of a video that is worked on, from its start.
        frames: Most frames of it, whatever their rate.
        side: Longer side in pixels; larger frames are made smaller.
        pixels: Largest frame that is decoded, in pixels.
    """

    megabytes: float = 200.0
    seconds: float = 20.0
    frames: int = 1200
    side: int = 1280
    pixels: int = 4096 * 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One frame before and after, as picture files of one size; boxes drawn where counted."""

    time: float
    before: Path
    after: Path
    objects: Objects | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a run leaves.

    Attributes:
        moments: Frames to compare, in order; one for a picture, up to twelve spread over a video.
        scores: Time in seconds and rain score, 0..1, of every frame.
        files: Rainy and derained file to download, whole.
        size: Width and height of the videos in pixels, ``None`` for a picture.
        psnr: dB of rainy and derained frames against the truth, where the rain was generated.
        notes: One line for each thing that was cut or made smaller.
    """

    moments: tuple[Moment, ...]
    scores: tuple[tuple[float, float], ...]
    files: tuple[Path, ...]
    size: tuple[int, int] | None = None
    psnr: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def run(
    source: Path,
    folder: Path,
    *,
    derainer: Derainer,
    rain: str | None = None,
    detector: Detector | None = None,
    limits: Limits = Limits(),
    seed: int = 0,
    on_frame: OnFrame = lambda done, total: None,
) -> Result:
    """Derain a file for the page.

    Args:
        source: Video or picture.
        folder: Where a folder of this run is made.
        derainer: Reset first.
        rain: Preset of the rain to put on first, or ``None`` to take the file as it is.
        detector: Searches the frames that are shown, before and after.
        limits: What the run may cost.
        seed: Seed of that rain.
        on_frame: Called after every frame with the number done and the number expected.

    Raises:
        InputError: The file is no video or picture, is larger than allowed, or cannot be read.
        ConfigError: There is no such preset.
    """
    _check(source, limits)
    derainer.reset()
    out = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    work = _Work(derainer, rain, detector, limits, seed)
    if is_image(source):
        return work.picture(source, out)
    return work.video(source, out, on_frame)


def _check(source: Path, limits: Limits) -> None:
    if not (is_image(source) or is_video(source)):
        raise InputError(f"{source.name}: neither a video nor a picture by its name")
    try:
        size = source.stat().st_size
        with source.open("rb") as file:
            start = file.read(16).lstrip()
    except OSError as error:
        raise InputError(f"{source.name}: cannot be read: {error.strerror}") from error
    if size > limits.megabytes * 1e6:
        raise InputError(
            f"{source.name}: has {size / 1e6:.0f} MB, more than the {limits.megabytes:g} allowed "
            "here; cut it, or use rainclear derain"
        )
    if start.startswith(_LISTS):
        raise InputError(f"{source.name}: is a list of other files, not a video")


class _Work:
    """Rain, network and measurement of one run."""

    def __init__(
        self,
        derainer: Derainer,
        rain: str | None,
        detector: Detector | None,
        limits: Limits,
        seed: int,
    ) -> None:
        self._derainer, self._rain, self._limits, self._seed = derainer, rain, limits, seed
        self._detector = detector
        self._clip: RainClip | None = None
        self._psnr: list[tuple[float, float]] = []
        self._notes: list[str] = []

    def _step(self, frame: Frame) -> tuple[Frame, Frame]:
        """The next frame before and after: upright, 8 bits, within the largest side."""
        clean = self._shown(frame)
        rainy = clean
        if self._rain is not None:
            height, width = clean.pixels.shape[:2]
            if self._clip is None:
                params = preset(self._rain, height=height)
                self._clip = RainClip(params, height, width, seed=self._seed)
            rainy, _ = rain_on_frame(self._clip, clean)
        (after,) = self._derainer.stream([rainy])
        if self._rain is not None:
            of = clean.pixels
            self._psnr.append((psnr(rainy.pixels, of), psnr(after.pixels, of)))
        return rainy, after

    def _shown(self, frame: Frame) -> Frame:
        pixels = np.ascontiguousarray(np.rot90(frame.eight_bit(), frame.rotation // 90))
        height, width = pixels.shape[:2]
        if height * width > self._limits.pixels:
            raise InputError(f"{width}×{height} is too large a picture for this page")
        scale = self._limits.side / max(height, width)
        if scale < 1:
            # Even sides, as most players want them.
            size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
            if not self._notes:
                self._notes.append(f"made smaller: {width}×{height} to {size[0]}×{size[1]}")
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        return replace(frame, pixels=pixels, rotation=0)

    def picture(self, source: Path, out: Path) -> Result:
        before, after = self._step(read_image(source))
        moment = self._moment(out, 0, 0.0, before, after)
        files = out / "before.png", out / "derained.png"
        for path, frame in zip(files, (before, after), strict=True):
            write_image(path, frame.pixels)
        return self._result((moment,), [(0.0, self._derainer.rain_score)], files)

    def video(self, source: Path, out: Path, on_frame: OnFrame) -> Result:
        scores: list[tuple[float, float]] = []
        kept: list[tuple[float, Frame, Frame]] = []
        spacing = 1
        files = out / "before.mp4", out / "derained.mp4"
        with VideoReader(source) as reader:
            info = reader.info
            if info.width * info.height > self._limits.pixels:
                raise InputError(f"{source.name}: {info.width}×{info.height} is too large")
            expected = min(info.frames or self._limits.frames, self._limits.frames)
            if info.rate:
                expected = min(expected, math.ceil(float(info.rate) * self._limits.seconds))
            writers: list[VideoWriter] = []
            try:
                for frame, time in self._part(reader):
                    before, after = self._step(frame)
                    if not writers:
                        writers = [_writer(path, info, before) for path in files]
                    for writer, shown in zip(writers, (before, after), strict=True):
                        writer.write(shown)
                    if len(scores) % spacing == 0:
                        kept.append((time, before, after))
                    if len(kept) > _MOMENTS:  # half of them, evenly, and half as many from now on
                        kept, spacing = kept[::2], spacing * 2
                    scores.append((time, after.metadata["rain_score"]))
                    on_frame(len(scores), expected)
                for writer in writers:
                    writer.close()
            finally:
                for writer in writers:
                    writer.abort()  # harmless once closed
            if reader.report.message:
                self._notes.append(reader.report.message)
        if not kept:
            raise InputError(f"{source.name}: no frame of it can be read")
        height, width = kept[0][1].pixels.shape[:2]
        moments = tuple(self._moment(out, i, *shown) for i, shown in enumerate(kept))
        return replace(self._result(moments, scores, files), size=(width, height))

    def _part(self, reader: VideoReader) -> Iterator[tuple[Frame, float]]:
        """Frames of the part that is worked on, each with its time from the first one."""
        first: float | None = None
        for number, frame in enumerate(reader):
            time = frame.time if frame.time is not None else number / 25
            first = time if first is None else first
            if number >= self._limits.frames or time - first >= self._limits.seconds:
                self._notes.append(f"stopped after {number} frames, the most that this page does")
                return
            yield frame, time - first

    def _moment(self, out: Path, number: int, time: float, before: Frame, after: Frame) -> Moment:
        objects = None
        if self._detector is not None:
            before, after, objects = find_objects(before, after, self._detector)
        paths = out / f"{number:02}-before.png", out / f"{number:02}-derained.png"
        for path, frame in zip(paths, (before, after), strict=True):
            write_image(path, frame.pixels)
        return Moment(time=time, before=paths[0], after=paths[1], objects=objects)

    def _result(
        self,
        moments: tuple[Moment, ...],
        scores: list[tuple[float, float]],
        files: tuple[Path, ...],
    ) -> Result:
        both: tuple[float, float] | None = None
        if self._psnr:
            rainy, derained = np.mean(self._psnr, axis=0)
            both = float(rainy), float(derained)
        return Result(
            moments=moments,
            scores=tuple(scores),
            files=files,
            psnr=both,
            notes=tuple(self._notes),
        )


def _writer(path: Path, info: VideoInfo, shown: Frame) -> VideoWriter:
    height, width = shown.pixels.shape[:2]
    plain = VideoInfo(
        path=Path(), width=width, height=height, time_base=info.time_base, rate=info.rate
    )
    return VideoWriter(path, template=plain, crf=16, preset="veryfast", keep_streams=False)
