"""What jobs tell: how a file went, and how far it is."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from rainclear.runtime.memory import peak_rss_mb

__all__ = ["Clock", "JobReport", "OnFrame"]

OnFrame = Callable[[int, int | None, float], None]
"""Called after every frame with the number derained, the number expected (``None`` if unknown) and
the rain score."""


@dataclass(kw_only=True, slots=True)
class JobReport:
    """How one file went.

    Attributes:
        input: The file read.
        output: The file written.
        frames: Frames written.
        resumed: Frames among them that an earlier run had made.
        seconds: Wall time from opening to the finished file.
        cpu_seconds: Processor time of the whole process meanwhile, all threads.
        overhead_seconds: What all else than decoding, the network and encoding took of that
            (queues, hand-overs, sidecar); 0 for pictures and where segments were derained.
        stage_seconds: Wall time that ``decode``, ``model`` and ``encode`` worked; they overlap.
        rain_score_mean: Mean rain score of the frames, 0..1.
        dry_frames: Frames that the rain gate let pass as they came.
        corrupt_packets: Packets that could not be decoded and were skipped.
        truncated: Whether the input ends before it should.
        notes: One line for each loss or change that a user should know.
        peak_rss_mb: Largest resident memory of the process so far, MiB.
    """

    input: str
    output: str
    frames: int = 0
    resumed: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    overhead_seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    rain_score_mean: float = 0.0
    dry_frames: int = 0
    corrupt_packets: int = 0
    truncated: bool = False
    notes: list[str] = field(default_factory=list)
    peak_rss_mb: float = 0.0

    @property
    def fps(self) -> float:
        """Frames of this run a second, from opening the input to the finished output."""
        return (self.frames - self.resumed) / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        return {**asdict(self), "fps": self.fps}


class Clock:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def note(self, report: JobReport) -> JobReport:
        """Write both, and the memory taken, into the report of what ends now."""
        report.seconds = time.perf_counter() - self._wall
        report.cpu_seconds = time.process_time() - self._cpu
        report.peak_rss_mb = peak_rss_mb()
        return report
