"""Live jobs: a camera, network stream or pipe in, a pipe or file out, and how late frames were."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from rainclear.errors import InputError, OutputError, StageError
from rainclear.frame import Frame
from rainclear.runtime.executor import Sink
from rainclear.runtime.feed import LiveFeed, Policy
from rainclear.runtime.latency import LatencyMeter
from rainclear.runtime.memory import peak_rss_mb
from rainclear.runtime.options import EncodeOptions
from rainclear.video import VideoInfo, VideoWriter
from rainclear.video.live import is_live, open_capture
from rainclear.video.pipe import PipeClosed, PipeFormat, PipeReader, PipeWriter

__all__ = ["LivePolicy", "LiveReport", "derain_live"]

LivePolicy = Literal["block", "drop-oldest", "adaptive"]
"""What happens when the network is slower than the source: the source waits, or old frames go; with
``adaptive`` they go, too, and ``restore`` is meant to do less then."""

Restore = Callable[[Iterable[Frame]], Iterator[Frame]]
OnFrame = Callable[[int, float], None]
PIPE = "-"
_RATE = Fraction(25)
# A player may be paused for a while.
_OUTPUT_TIMEOUT = 600.0


@dataclass(kw_only=True, slots=True)
class LiveReport:
    """How a live job went.

    Attributes:
        input: The source's name.
        output: Where the frames went.
        frames: Frames written.
        dropped: Frames that were too old before the network got to them.
        reconnects: Times that the source came back.
        seconds: Wall time from the first connection to the end.
        latency: Seconds from a frame's arrival until it was written: ``p50``, ``p95``, ``p99``
            (within 1 %) and ``max``.
        lost: Why the source was lost for good, ``None`` if it ended by itself.
        rain_score_mean: Mean rain score, 0..1.
        dry_frames: Frames that the rain gate let pass as they came.
        levels: Frames by the way they were derained, where that adapts to the time there is.
        truncated: Whether a pipe ended inside a frame.
        notes: One line for each thing that a user should know.
        peak_rss_mb: Largest resident memory of the process so far, MiB.
    """

    input: str
    output: str
    frames: int = 0
    dropped: int = 0
    reconnects: int = 0
    seconds: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)
    lost: str | None = None
    rain_score_mean: float = 0.0
    dry_frames: int = 0
    levels: dict[str, int] = field(default_factory=dict)
    truncated: bool = False
    notes: list[str] = field(default_factory=list)
    peak_rss_mb: float = 0.0

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        return {**asdict(self), "fps": self.fps}


def derain_live(
    source: str,
    output: str | os.PathLike[str],
    restore: Restore,
    *,
    policy: LivePolicy | None = None,
    raw: PipeFormat | None = None,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    timeout: float = 10.0,
    give_up: float | None = 60.0,
    hardware: str | None = None,
    encode: EncodeOptions = EncodeOptions(),
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
) -> LiveReport:
    """Derain a source as it comes, until it ends, is lost, its reader leaves, or Ctrl-C.

    Reading and writing have threads of their own; the network runs in the caller's.

    Args:
        source: ``-`` for a pipe, or what :func:`rainclear.video.live.open_capture` takes.
        output: ``-`` for a pipe, or a video file, which appears when the job ends.
        restore: The ``stream`` of a :class:`rainclear.Derainer`, of a device pipeline, or of an
            :class:`rainclear.runtime.adaptive.AdaptiveDerainer`.
        policy: ``block``, ``drop-oldest`` or ``adaptive``; by default ``drop-oldest`` for cameras
            and network streams.
        raw: Format of raw frames in ``stdin``; ``None`` for Y4M. An output pipe gets the same kind.
        stdin: The pipe behind ``-`` as source.
        stdout: The pipe behind ``-`` as output.
        timeout: Seconds without a frame after which a source is connected anew.
        give_up: Seconds without a frame after which the job ends.
        hardware: Device that decodes a network stream, ``cuda:N``, if it can.
        encode: Codec, quality and speed of a file.
        overwrite: Whether an existing file may be replaced.
        on_frame: Called with the number of frames and the rain score after each.

    Raises:
        InputError: The source cannot be opened, is none, or gave no frame. A source that is lost
            later ends the job, and ``lost`` in the report says why.
        OutputError: The output exists, cannot be written, or took no frame for ten minutes.
        StageError: The source did not answer before its first frame.
    """
    started = time.monotonic()
    report = LiveReport(input=source, output=os.fspath(output))
    meter, scores = LatencyMeter(), 0.0
    pipe, feed = _feed(source, raw, stdin, _feed_policy(policy), timeout, give_up, hardware)
    with feed:
        frames = iter(restore(feed))
        first = next(frames, None)
        if first is None:
            raise InputError(f"{source}: ended before its first frame")
        form = _format(first, pipe.format if pipe else raw)
        try:
            with _open_writer(
                output, first, form, raw is None, stdout, encode, overwrite
            ) as writer:

                def write(frame: Frame) -> None:
                    writer.write(frame)
                    report.frames += 1
                    meter.add(time.monotonic() - frame.metadata["captured"])

                with Sink(write, depth=1, timeout=_OUTPUT_TIMEOUT) as sink:
                    # However the source ends, what was written so far becomes a whole file.
                    try:
                        for frame in chain([first], frames):
                            score = float(frame.metadata.get("rain_score", 0.0))
                            scores += score
                            _count(report, frame.metadata)
                            try:
                                sink.put(frame)
                            except StageError as error:
                                raise OutputError(f"{report.output}: {error}") from error
                            if on_frame:
                                on_frame(report.frames, score)
                    except KeyboardInterrupt:
                        report.notes.append("stopped by Ctrl-C")
                    except (InputError, StageError) as error:
                        report.lost = str(error)
        except PipeClosed as error:
            report.notes.append(str(error))
    counts = feed.counts
    report.dropped, report.reconnects = counts.dropped, counts.reconnects
    if counts.reconnects:
        report.notes.append(f"the source was lost and came back; last: {counts.last_error}")
    if counts.stuck:
        report.notes.append(f"the source did not answer {counts.stuck} times")
    if pipe and pipe.truncated:
        report.truncated = True
        report.notes.append(f"{pipe.name} ended inside a frame, which is left out")
    report.latency = {f"p{p}": meter.percentile(p) for p in (50, 95, 99)} | {"max": meter.longest}
    report.rain_score_mean = scores / max(1, report.frames)
    report.seconds = time.monotonic() - started
    report.peak_rss_mb = peak_rss_mb()
    return report


def _feed_policy(policy: str | None) -> Policy | None:
    if policy is not None and policy not in get_args(LivePolicy):
        known = ", ".join(get_args(LivePolicy))
        raise InputError(f"unknown policy {policy!r}; use one of: {known}")
    return "drop-oldest" if policy == "adaptive" else policy  # type: ignore[return-value]


def _count(report: LiveReport, notes: dict[str, Any]) -> None:
    reading, level = notes.get("rain_reading"), notes.get("level")
    report.dry_frames += reading is not None and not reading.open
    if level is not None:
        report.levels[level] = report.levels.get(level, 0) + 1


def _feed(
    source: str,
    raw: PipeFormat | None,
    stdin: BinaryIO | None,
    policy: Policy | None,
    timeout: float,
    give_up: float | None,
    hardware: str | None,
) -> tuple[PipeReader | None, LiveFeed]:
    """The feed for a source; for a pipe its reader, too."""
    if source == PIPE:
        if stdin is None:
            raise InputError("no pipe was given to read from")
        pipe = PipeReader(stdin, raw=raw, timeout=timeout)
        # The reader keeps watch itself and says more; the feed's own watch is the second net.
        feed = LiveFeed(
            lambda: pipe,
            policy=policy or "block",
            timeout=timeout + 2.0,
            reconnect=False,
            give_up=None,
        )
        return pipe, feed
    live = is_live(source)
    return None, LiveFeed(
        lambda: open_capture(source, timeout=timeout / 2, hardware=hardware),
        policy=policy or ("drop-oldest" if live else "block"),
        timeout=timeout,
        reconnect=live,
        give_up=give_up,
    )


def _format(frame: Frame, known: PipeFormat | None) -> PipeFormat:
    """Format of an output pipe: that of the input where there is one, in the frame's size."""
    height, width = frame.pixels.shape[:2]
    if known is not None:
        return replace(known, width=width, height=height)
    rate = 1 / (frame.duration * frame.time_base) if frame.duration > 0 else _RATE
    deep = frame.pixels.dtype.itemsize == 2
    return PipeFormat(
        width=width,
        height=height,
        rate=rate,
        pixel_format="yuv420p10le" if deep else "yuv420p",
    )


@contextmanager
def _open_writer(
    output: str | os.PathLike[str],
    frame: Frame,
    form: PipeFormat,
    y4m: bool,
    stdout: BinaryIO | None,
    encode: EncodeOptions,
    overwrite: bool,
) -> Iterator[PipeWriter | VideoWriter]:
    if os.fspath(output) == PIPE:
        if stdout is None:
            raise OutputError("no pipe was given to write to")
        yield PipeWriter(stdout, form, y4m=y4m)
        return
    info = VideoInfo(
        # There is no file behind it whose sound could be copied.
        path=Path(os.devnull),
        width=form.width,
        height=form.height,
        time_base=frame.time_base,
        rate=form.rate,
        color=frame.color,
        rotation=frame.rotation,
    )
    with VideoWriter(
        output,
        template=info,
        codec=encode.codec,
        crf=encode.crf,
        preset=encode.speed,
        overwrite=overwrite,
        keep_streams=False,
    ) as writer:
        yield writer
