"""The whole benchmark: ceiling, reference, models, a file from end to end, quality."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from rainclear.bench import growth, isolate
from rainclear.bench.ceiling import Ceiling, dense_ceiling, drift_of, of_rounds
from rainclear.bench.clip import write_clip
from rainclear.bench.endtoend import EndToEnd, derain_clip
from rainclear.bench.plan import BenchOptions, Plan, make_plan, nothing_left
from rainclear.bench.quality import Quality, check_clean, score
from rainclear.bench.subject import Cost
from rainclear.bench.timing import Row, Task, pooled, time_task
from rainclear.errors import RainclearError
from rainclear.runtime.backends.machine import cores_in_use, inspect_machine

__all__ = ["run_bench"]

_BUSY = 0.25  # of all cores' time before the start
_GROWTH_FRAMES = 15
_DRIFT = 0.1  # of the ceiling from the earlier rounds to the later ones

Rows = dict[str, dict[str, Row]]
Ceilings = dict[str, list[Ceiling]]


def run_bench(
    options: BenchOptions, report: Callable[[str], None] = lambda doing: None
) -> dict[str, Any]:
    """Measure, each network on each backend in a process of its own, one after the other.

    Args:
        options: What to measure.
        report: Told what is being done.

    Returns:
        Plain values for JSON; ``docs/performance.md`` describes them. Every time has its ratio to
        the reference and to the machine's ceiling, which were measured in the same run.

    Raises:
        ModelError: A model is unknown, or its weights were altered.
        DeviceError: There is no such device, backend or number format, or a backend that was named
            does not run the model; or none of the others does.
        InputError: The video to measure quality with cannot be read.
    """
    if options.quality and options.clean is not None:
        check_clean(options.clean)
    plan = make_plan(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    load = cores_in_use()
    report("dense convolutions")
    ceilings: Ceilings = {name: [dense_ceiling(plan.device, name)] for name in plan.formats}
    # First, as a backend that was named may turn out not to run.
    rows = _rows(options, plan, ceilings, report)
    references = {}
    for task in plan.references:
        report(f"PReNet, {task.backend}")
        key = _key(task.backend, task.precision)
        row = _time(plan, task, "PReNet", must=key == "eager")
        if row is not None:
            references[key] = row
    quality: dict[str, Quality] = {}
    if options.quality:
        for model in plan.weighted:
            report(f"{plan.labels[model]}: quality")
            quality[plan.labels[model]] = isolate.call(
                score, model, options.clean, device=str(plan.device), threads=options.threads
            )
    whole = _end_to_end(options, plan, rows, report)
    grown = _growth(options, plan, rows, report)
    return _result(options, plan, load, ceilings, references, rows, whole, grown, quality)


def _rows(
    options: BenchOptions, plan: Plan, ceilings: Ceilings, report: Callable[[str], None]
) -> Rows:
    """All models on all backends in turns, and the ceilings once more after each round."""
    timed: dict[Task, list[Row]] = {task: [] for task in plan.rows}
    for turn in range(options.rounds):
        of = f" ({turn + 1} of {options.rounds})" if options.rounds > 1 else ""
        for task in list(timed):
            label = plan.labels[str(task.model)]
            report(f"{label}, {task.backend}{of}")
            row = _time(plan, task, label, must=task.backend in options.backends)
            if row is None:
                del timed[task]
            else:
                timed[task].append(row)
        if not timed:
            raise nothing_left(plan)
        report("dense convolutions")
        for name, found in ceilings.items():
            found.append(dense_ceiling(plan.device, name))
    rows: Rows = {label: {} for label in plan.labels.values()}
    for task, of_task in timed.items():
        rows[plan.labels[str(task.model)]][task.backend] = pooled(of_task)
    return rows


def _time(plan: Plan, task: Task, label: str, *, must: bool) -> Row | None:
    """The row of a task; ``None``, with the reason in the plan, if it fails and need not run."""
    try:
        return isolate.call(time_task, task)
    except RainclearError as error:
        if must:
            raise
        plan.skipped[f"{label} {task.backend}"] = str(error)
        return None


def _key(backend: str, precision: str) -> str:
    """Name of the reference's figures; ``eager`` alone is PyTorch in fp32."""
    return "eager" if (backend, precision) == ("eager", "fp32") else f"{backend}-{precision}"


def _fastest(rows: dict[str, Row]) -> str:
    return min(rows, key=lambda backend: rows[backend].ms_median)


def _end_to_end(
    options: BenchOptions, plan: Plan, rows: Rows, report: Callable[[str], None]
) -> dict[str, Any] | None:
    """The first model that has weights, on its fastest backend."""
    model = next((m for m in plan.weighted if rows[plan.labels[m]]), None)
    if model is None or not options.clip_frames:
        return None
    label = plan.labels[model]
    backend = _fastest(rows[label])
    report(f"{label}, {backend}: a file")
    with tempfile.TemporaryDirectory(prefix="rainclear-bench-") as folder:
        clip = Path(folder) / "rainy.mp4"
        isolate.call(write_clip, clip, options.size, options.clip_frames)
        done = isolate.call(
            derain_clip,
            clip,
            model,
            backend=backend,
            device=str(plan.device),
            precision=options.precision,
            threads=options.threads,
        )
    return {"model": label, "backend": backend, **_whole(done)}


def _growth(
    options: BenchOptions, plan: Plan, rows: Rows, report: Callable[[str], None]
) -> dict[str, Any] | None:
    """The first model that has weights, on its fastest backend: over pixels and over frames."""
    model = next((m for m in plan.weighted if rows[plan.labels[m]]), None)
    if model is None or not options.growth:
        return None
    label = plan.labels[model]
    backend = _fastest(rows[label])
    task = next(t for t in plan.rows if t.model == model and t.backend == backend)
    sizes = []
    task = replace(task, frames=_GROWTH_FRAMES, seconds=0.0)
    for size in growth.SIZES:
        report(f"{label}, {backend}: {size[1]}x{size[0]}")
        sizes.append(isolate.call(time_task, replace(task, size=size)))
    report(f"{label}, {backend}: {growth.LENGTHS[-1]} frames")
    marks = isolate.call(
        growth.play,
        model,
        backend=backend,
        device=str(plan.device),
        precision=options.precision,
        threads=options.threads,
        size=growth.SIZES[0],
        lengths=growth.LENGTHS,
    )
    return {
        "model": label,
        "backend": backend,
        "pixels": [asdict(row) for row in sizes],
        "pixels_exponent": growth.pixels_exponent(sizes),
        "frames": [asdict(mark) for mark in marks],
        "frames_exponent": growth.exponent([(m.frames, m.cpu_seconds) for m in marks]),
    }


def _whole(done: EndToEnd) -> dict[str, Any]:
    return {
        **asdict(done),
        "fps": done.fps,
        "cpu_utilisation": done.cpu_utilisation,
        "share": done.share,
        "wall_over_ideal": done.wall_over_ideal,
        "parts_over_alone": done.parts_over_alone,
    }


def _figures(row: Row, cost: Cost, ceilings: dict[str, Any]) -> dict[str, Any]:
    gmac = cost.multiply_adds / 1e9
    return {
        **asdict(row),
        "fps": row.fps,
        "parameters": cost.parameters,
        "gmac": gmac,
        "gmac_per_s": gmac * row.fps,
        "ceiling_share": gmac * row.fps / ceilings[row.precision]["gmac_per_s"],
    }


def _result(
    options: BenchOptions,
    plan: Plan,
    load: float | None,
    measured: Ceilings,
    references: dict[str, Row],
    rows: Rows,
    whole: dict[str, Any] | None,
    grown: dict[str, Any] | None,
    quality: dict[str, Quality],
) -> dict[str, Any]:
    machine = inspect_machine()
    ceilings = {name: of_rounds(found) for name, found in measured.items()}
    reference = references.get("eager")

    def figures(model: str, backend: str, row: Row) -> dict[str, Any]:
        same = references.get(_key(backend, row.precision))
        return {
            **_figures(row, plan.costs[model], ceilings),
            "speedup_vs_prenet": _ratio(reference, row),
            "cpu_speedup_vs_prenet": _cpu_ratio(reference, row),
            "speedup_vs_prenet_same_backend": _ratio(same, row),
        }

    models = {
        label: {backend: figures(model, backend, row) for backend, row in rows[label].items()}
        for model, label in plan.labels.items()
    }
    first = next((label for label, of in rows.items() if of), None)
    fastest = None if first is None else {"model": first, "backend": _fastest(rows[first])}
    return {
        "size": [options.size[1], options.size[0]],
        "device": str(plan.device),
        "machine": {**machine.as_dict(), "load": load},
        "ceiling": ceilings,
        "prenet": {
            name: _figures(row, plan.costs[None], ceilings) for name, row in references.items()
        },
        "prenet_ms": reference.ms_median if reference else None,
        "models": models,
        "fastest": fastest,
        "speedup_vs_prenet": (
            models[fastest["model"]][fastest["backend"]]["speedup_vs_prenet"] if fastest else None
        ),
        "end_to_end": whole,
        "growth": grown,
        "quality": {label: {**asdict(q), "gain_db": q.gain_db} for label, q in quality.items()},
        "skipped": plan.skipped,
        "notes": _notes(ceilings, load, machine.cores, options, plan, references),
    }


def _ratio(reference: Row | None, row: Row) -> float | None:
    return reference.ms_median / row.ms_median if reference else None


def _cpu_ratio(reference: Row | None, row: Row) -> float | None:
    return reference.cpu_ms_median / row.cpu_ms_median if reference else None


def _notes(
    ceilings: dict[str, Any],
    load: float | None,
    cores: int,
    options: BenchOptions,
    plan: Plan,
    references: dict[str, Row],
) -> list[str]:
    """What a reader must know to judge the figures."""
    notes = []
    drift = max((drift_of(c["rounds"]) for c in ceilings.values()), default=0.0)
    if (load or 0.0) > _BUSY * cores or drift > _DRIFT:
        loaded = "" if load is None else f"{load:.1f} cores in use at the start, "
        notes.append(
            f"the machine was busy: {loaded}its ceiling changed by {drift:.0%}; quote none of "
            "these times, nor their ratios: short frames slip between what slows long ones"
        )
    if references:
        count = references["eager"].frames
        notes.append(
            f"PReNet: random weights, {count} frame{'s' * (count != 1)} at the full size after "
            + ("a warm-up on small ones" if plan.device.type == "cpu" else "three to warm up")
            + (", memory kept by the allocator" if references["eager"].memory_kept else "")
        )
    unweighted = [label for model, label in plan.labels.items() if model not in plan.weighted]
    if unweighted:
        notes.append(f"random weights, as none are published: {', '.join(unweighted)}")
    if options.clip_frames and not plan.weighted:
        notes.append("no file from end to end: none of the models has weights")
    return notes
