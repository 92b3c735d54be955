"""Runs a pipeline: source, derain, detect, track; as a generator, or into its sinks."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rainclear.detection.coco import class_id
from rainclear.detection.detections import Detections, Detector
from rainclear.detection.load import load_detector
from rainclear.errors import ConfigError, OutputError
from rainclear.frame import Frame
from rainclear.pipeline.result import PipelineReport, Result
from rainclear.pipeline.sinks import (
    CocoSink,
    JsonlSink,
    MotSink,
    ResultSink,
    VideoSink,
    WindowSink,
)
from rainclear.pipeline.source import OpenSource, open_source, source_name
from rainclear.pipeline.spec import (
    DerainSpec,
    PipelineSpec,
    SinksSpec,
    check_stages,
    find_pipeline,
)
from rainclear.pipeline.track import Tracker
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.executor import Executor, Sink
from rainclear.runtime.gate import GateChoice, read_gate
from rainclear.video import VideoInfo

__all__ = ["Pipeline"]

_RATE = 30.0
_LIVE_DEPTH, _FILE_DEPTH = 1, 4

OnFrame = Callable[[int, int | None, float], None]


class Pipeline:
    """From a source to objects: iterate over it, or :meth:`run` it into its sinks.

    Each iteration reads the source anew. Frames are upright, detections are in their pixels.
    Decoding and writing have threads of their own, which end when the loop is left.

    Example:
        >>> for frame, detections in rainclear.Pipeline("derain-detect", source="drive.mp4"):
        ...     print(frame.time, detections.classes)

    Args:
        pipeline: Name of a pipeline, a YAML file, or settings.
        source: A video, a picture, a URL or the number of a camera, in place of the pipeline's.
        settings: Settings by dotted name, such as ``{"detect.weights": "yolo11n.pt"}``.
        derainer: A derainer to use in place of the one described.
        detector: A detector to use in place of the one described.

    Raises:
        ConfigError: There is no such pipeline, a setting is wrong, or a stage is missing that
            another needs.
        ModelError: A model or detector is missing or broken.
        DeviceError: This machine has no such device.
    """

    def __init__(
        self,
        pipeline: str | os.PathLike[str] | PipelineSpec = "derain-detect",
        *,
        source: int | str | os.PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        derainer: Derainer | None = None,
        detector: Detector | None = None,
    ) -> None:
        if isinstance(pipeline, PipelineSpec):
            if settings:
                raise ConfigError("give settings either as a PipelineSpec or by name, not both")
            spec = pipeline
            derains, detects = derainer is not None, detector is not None
            check_stages(spec, source="PipelineSpec", derains=derains, detects=detects)
        else:
            assignments = [f"{k}={yaml.safe_dump(v).strip()}" for k, v in (settings or {}).items()]
            spec = find_pipeline(os.fspath(pipeline), assignments)
        if source is not None:
            path = source if isinstance(source, int) else os.fspath(source)
            spec = spec.model_copy(update={"source": spec.source.model_copy(update={"path": path})})
        self.spec = spec
        self._derainer = derainer or (_derainer(spec.derain) if spec.derain else None)
        self._detector = detector
        self._classes: list[int] | None = None
        if spec.detect is not None:
            d = spec.detect
            self._detector = detector or load_detector(
                d.weights, device=d.device, confidence=d.confidence, size=d.size
            )
            if d.classes is not None:
                self._classes = [n for name in d.classes if (n := class_id(name)) is not None]

    def __iter__(self) -> Iterator[tuple[Frame, Detections]]:
        """Yield the derained frame and the objects in it; nothing is written.

        Raises:
            InputError: The source cannot be opened.
        """
        for result in self.results():
            yield result.frame, result.detections

    def results(self) -> Generator[Result, None, None]:
        """Yield everything that is known of each frame; nothing is written."""
        with open_source(self.spec.source) as source:
            yield from self._results(source)

    def run(
        self,
        folder: str | os.PathLike[str] = ".",
        *,
        overwrite: bool = False,
        on_frame: OnFrame | None = None,
    ) -> PipelineReport:
        """Feed the sinks until the source ends; files appear when they are complete.

        Args:
            folder: Where outputs with relative names go.
            overwrite: Whether existing files may be replaced.
            on_frame: Called after every frame with the number done, the number expected (``None``
                if unknown) and the rain score.

        Raises:
            InputError: The source cannot be opened.
            OutputError: A sink cannot be written, or there is none.
        """
        started, report = time.perf_counter(), PipelineReport()
        wanted = self.spec.sinks
        window = WindowSink(wanted.window, compare=self._compares) if wanted.window else None
        with ExitStack() as stack:
            source = stack.enter_context(open_source(self.spec.source))
            sinks = self._sinks(Path(folder), source.info, stack, report, overwrite=overwrite)
            if not sinks and window is None:
                raise OutputError("the pipeline has no sink: --set sinks.video.path=out.mp4")

            def write(result: Result) -> None:
                for sink in sinks:
                    sink.write(result)

            results = self._results(source)
            stack.callback(results.close)
            if window:
                stack.callback(window.close)
            with Sink(write) as out:
                for result in results:
                    out.put(result)
                    self._count(report, result)
                    if on_frame:
                        score = result.reading.score if result.reading else 0.0
                        on_frame(report.frames, source.info.frames, score)
                    if window and not window.show(result):
                        break
            for sink in sinks:
                sink.close()
                report.notes += sink.notes
            if message := source.report().message:
                report.notes.insert(0, message)
        report.seconds = time.perf_counter() - started
        return report

    @property
    def _compares(self) -> bool:
        """Whether the rainy frame is searched as well."""
        video = self.spec.sinks.video
        return bool(video and video.side_by_side and self._detector and self._derainer)

    def _results(self, source: OpenSource) -> Generator[Result, None, None]:
        tracker = None
        if self.spec.track is not None:
            tracker = Tracker(self.spec.track, rate=float(source.info.rate or _RATE))
        if self._derainer:
            self._derainer.reset()
            size = source.info.height, source.info.width
            self._derainer.prepare(size, frames=source.info.frames)
        depth = _LIVE_DEPTH if source.live else _FILE_DEPTH
        with Executor(source.frames, {}, depth=depth) as decoded:
            for frame in decoded:
                yield self._result(frame, tracker)

    def _result(self, rainy: Frame, tracker: Tracker | None) -> Result:
        frame, reading, before = rainy, None, None
        if self._derainer:
            (frame,) = self._derainer.stream([rainy])
            reading = self._derainer.reading
        found = self._detect(frame)
        if self._compares:
            same = reading is not None and not reading.open
            before = found if same else self._detect(rainy)
        if tracker:
            found = tracker(found)
        return Result(frame=frame, rainy=rainy, detections=found, before=before, reading=reading)

    def _detect(self, frame: Frame) -> Detections:
        if self._detector is None:
            return Detections.of([], [], [])
        (found,) = self._detector([frame.eight_bit()])
        if self._classes is not None:
            found = found.select(np.isin(found.classes, self._classes))
        return found

    def _sinks(
        self,
        folder: Path,
        info: VideoInfo,
        stack: ExitStack,
        report: PipelineReport,
        *,
        overwrite: bool,
    ) -> list[ResultSink]:
        wanted, sinks = self.spec.sinks, []
        paths = _output_paths(wanted, folder, source_name(self.spec.source.path or 0))
        makers: dict[str, Callable[[Path], ResultSink]] = {
            "jsonl": lambda path: JsonlSink(path, overwrite=overwrite),
            "coco": lambda path: CocoSink(path, info, overwrite=overwrite),
            "mot": lambda path: MotSink(path, overwrite=overwrite),
        }
        if (video := wanted.video) is not None:
            makers["video"] = lambda path: VideoSink(path, video, info, overwrite=overwrite)
        for kind, path in paths.items():
            sink = makers[kind](path)
            stack.callback(sink.abort)
            sinks.append(sink)
            report.outputs.append(path)
        return sinks

    @staticmethod
    def _count(report: PipelineReport, result: Result) -> None:
        report.frames += 1
        report.objects += len(result.detections)
        if result.reading is not None:
            report.dry_frames += not result.reading.open
        if (change := result.won_and_lost()) is not None:
            report.won += int(change.won.sum())
            report.lost += int(change.lost.sum())


def _derainer(spec: DerainSpec) -> Derainer:
    gate: GateChoice = spec.gate
    if spec.gate_settings is not None and gate is not False:
        gate = read_gate(spec.gate_settings)
    return Derainer(
        spec.model,
        device=spec.device,
        precision=spec.precision,
        backend=spec.backend,
        gate=gate,
    )


def _output_paths(sinks: SinksSpec, folder: Path, name: str) -> dict[str, Path]:
    """Files by kind of sink, in the order of the settings.

    Raises:
        OutputError: Two sinks would write one file.
    """
    files = {"video": sinks.video, "jsonl": sinks.jsonl, "coco": sinks.coco, "mot": sinks.mot}
    paths: dict[str, Path] = {}
    for kind, file in files.items():
        if file is None:
            continue
        path = folder / file.path.replace("{name}", name)
        if path in paths.values():
            raise OutputError(f"{path}: two sinks would write this file; give them other names")
        paths[kind] = path
    return paths
