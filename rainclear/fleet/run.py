"""Derain any number of files, here or on an engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

from rainclear.errors import ConfigError, RainclearError
from rainclear.fleet.plan import FleetPlan, FleetTask, plan_fleet, write_manifest
from rainclear.fleet.pool import Crew, Watch, run_pool
from rainclear.fleet.settings import FleetSettings
from rainclear.fleet.store import place
from rainclear.fleet.worker import Worker
from rainclear.runtime.jobs import JobReport, OnFrame

__all__ = ["ENGINES", "FleetReport", "derain_fleet"]

ENGINES = ("local", "ray")
Engine = Literal["local", "ray"]


@dataclass(kw_only=True, slots=True)
class FleetReport:
    """What became of every file.

    Attributes:
        done: Reports of the files that were written, in the order of the plan. Their
            ``stage_seconds`` also have ``fetch`` and ``store``.
        failed: Files that could not be derained, with the reason, in the same order.
        skipped: Files that an earlier run had finished.
        workers: Workers that were asked for.
        lost: Workers that were lost on the way.
        bytes: Size of the files in ``done`` before deraining.
        seconds: Wall time from the start of the engine's first worker to the last result.
    """

    done: list[JobReport] = field(default_factory=list)
    failed: list[tuple[FleetTask, RainclearError]] = field(default_factory=list)
    skipped: list[FleetTask] = field(default_factory=list)
    workers: int = 0
    lost: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def frames(self) -> int:
        """Frames written."""
        return sum(report.frames for report in self.done)

    @property
    def fps(self) -> float:
        """Frames a second of all workers together."""
        return self.frames / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        busy = sum(report.seconds for report in self.done)
        stages: dict[str, float] = {}
        for report in self.done:
            for stage, seconds in report.stage_seconds.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        return {
            "frames": self.frames,
            "seconds": self.seconds,
            "fps": self.fps,
            "workers": self.workers,
            "lost_workers": self.lost,
            "worker_seconds": busy,
            "bytes": self.bytes,
            "stage_seconds": stages,
            "files": [report.as_dict() for report in self.done],
            "failed": [{"input": task.source, "error": str(e)} for task, e in self.failed],
            "skipped": [task.source for task in self.skipped],
        }


def derain_fleet(
    inputs: Sequence[str],
    output: str,
    settings: FleetSettings,
    *,
    engine: Engine = "ray",
    address: str | None = None,
    workers: int | None = None,
    attempts: int = 3,
    watch: Watch | None = None,
) -> FleetReport:
    """Derain files from anywhere to anywhere, one file a worker at a time.

    A file that fails does not stop the rest. A file appears under its name only when it is
    complete, so the same call goes on after an interruption: what is finished is skipped.

    Args:
        inputs: Videos, pictures and folders, as URLs that fsspec knows or paths.
        output: A file for a single input file, else a folder; URL or path.
        settings: How they are derained.
        engine: ``ray``, or ``local`` for this process alone.
        address: Ray's address; ``None`` starts a cluster on this machine.
        workers: Workers; by default one a GPU, or one for every four processors.
        attempts: Workers that a file may cost before it is given up.
        watch: Told of every file.

    Raises:
        InputError: An input is missing, or there is nothing to do.
        OutputError: An output is in the way, see :func:`rainclear.fleet.plan.plan_fleet`.
        ConfigError: The engine is unknown, not installed, or has no room.
        RainclearError: A worker cannot start.
    """
    if engine not in ENGINES:
        raise ConfigError(f"no engine named {engine!r}; there are: {', '.join(ENGINES)}")
    if engine == "local" and (address is not None or workers is not None):
        raise ConfigError("--address and --workers are for --engine ray")
    plan = plan_fleet(inputs, output, settings)
    if not plan.tasks:
        return FleetReport(skipped=list(plan.skipped))
    if plan.folder is not None:
        write_manifest(place(plan.folder), settings)
    if engine == "local":
        return _run_here(plan, settings, watch or Watch())
    from rainclear.fleet.ray_crew import RayCrew

    with RayCrew(settings, address=address, workers=workers) as crew:
        return run_plan(plan, crew, watch=watch or Watch(), attempts=attempts)


def run_plan(
    plan: FleetPlan, crew: Crew, *, watch: Watch, attempts: int = 3, poll: float = 0.25
) -> FleetReport:
    """Derain a plan's files with a crew; errors as :func:`rainclear.fleet.pool.run_pool`."""
    results: dict[str, JobReport | RainclearError] = {}

    def on_done(task: FleetTask, result: JobReport | RainclearError) -> None:
        results[task.output] = result
        if watch.on_done:
            watch.on_done(task, result)

    begun = perf_counter()
    told = Watch(on_start=watch.on_start, on_lost=watch.on_lost, on_done=on_done)
    lost = run_pool(plan.tasks, crew, watch=told, attempts=attempts, poll=poll)
    report = _report(plan, results)
    report.workers = min(crew.size, len(plan.tasks))
    report.lost, report.seconds = lost, perf_counter() - begun
    return report


def _run_here(plan: FleetPlan, settings: FleetSettings, watch: Watch) -> FleetReport:
    begun = perf_counter()
    results: dict[str, JobReport | RainclearError] = {}
    worker = _Here(settings, device=settings.device)
    info = worker.start()
    if isinstance(info, RainclearError):
        raise info
    try:
        for task in plan.tasks:
            worker.on_frame = watch.on_start(task, info) if watch.on_start else None
            results[task.output] = worker.derain(task)
            if watch.on_done:
                watch.on_done(task, results[task.output])
    finally:
        worker.stop()
    report = _report(plan, results)
    report.workers, report.seconds = 1, perf_counter() - begun
    return report


class _Here(Worker):
    """A worker in this process, which tells of its frames as they come."""

    on_frame: OnFrame | None = None

    def _on_frame(self, done: int, expected: int | None, score: float) -> None:
        super()._on_frame(done, expected, score)
        if self.on_frame:
            self.on_frame(done, expected, score)


def _report(plan: FleetPlan, results: dict[str, JobReport | RainclearError]) -> FleetReport:
    report = FleetReport(skipped=list(plan.skipped))
    for task in plan.tasks:
        result = results[task.output]
        if isinstance(result, JobReport):
            report.done.append(result)
            report.bytes += task.bytes
        else:
            report.failed.append((task, result))
    return report
