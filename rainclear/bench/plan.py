"""What a benchmark measures, settled before the first minute is spent on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from rainclear.bench.subject import Cost, Subject, cost, load_subject, padded
from rainclear.bench.timing import FORMAT_NAMES, Task, format_name
from rainclear.errors import DeviceError, RainclearError
from rainclear.runtime.backends.auto import candidates
from rainclear.runtime.backends.base import BackendName
from rainclear.runtime.backends.make import check_name, make_backend, make_program
from rainclear.runtime.device import resolve_device
from rainclear.zoo import find_model

__all__ = ["BenchOptions", "Plan", "make_plan", "nothing_left"]

PReNetChoice = Literal["eager", "same", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchOptions:
    """What to measure.

    Attributes:
        models: Models by name or folder.
        backends: Backends by name; none or ``auto`` stands for all that run here, except
            ``compile``, which compiles for a minute at a start.
        size: Height and width of the frames.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: auto, fp32, bf16 or fp16.
        threads: Threads of the CPU; ``None`` leaves PyTorch its choice.
        frames: Frames to time of each model in each round, at least.
        seconds: Time that a model's round takes, at least: a machine that others use is quick or
            slow for some seconds, and a shorter round would tell of that alone.
        rounds: How often all models and the ceilings are measured, in turns: what else the machine
            does then meets all of them alike. Medians of the rounds count.
        clip_frames: Length of the clip that goes from file to file; 0 leaves that out.
        prenet: The reference runs in PyTorch in fp32 (``eager``), on every backend of the models
            in their number format too (``same``), or not at all (``none``).
        prenet_frames: Frames of the reference to time at the full size.
        growth: Measure how time grows with pixels and with frames, of the first model with
            weights on its fastest backend.
        quality: Measure quality too.
        clean: Dry video to measure it with; by default drawn shapes.
    """

    models: tuple[str, ...] = ("d-daiam-rt",)
    backends: tuple[str, ...] = ()
    size: tuple[int, int] = (720, 1280)
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    frames: int = 50
    seconds: float = 8.0
    rounds: int = 3
    clip_frames: int = 200
    prenet: PReNetChoice = "eager"
    prenet_frames: int = 1
    growth: bool = True
    quality: bool = True
    clean: Path | None = None


@dataclass(kw_only=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        device: Where.
        labels: A name for the figures of each model, by what it was asked for as.
        weighted: Models, as they were asked for, that have weights of their own.
        costs: What each model costs, as it was asked for; ``None`` is the reference.
        rows: What to time of each model; the model is as it was asked for.
        references: What to time of the reference.
        formats: Number formats whose ceiling is wanted.
        skipped: Why backends that nobody named are left out, by model's label and backend.
    """

    device: torch.device
    labels: dict[str, str] = field(default_factory=dict)
    weighted: list[str] = field(default_factory=list)
    costs: dict[str | None, Cost] = field(default_factory=dict)
    rows: list[Task] = field(default_factory=list)
    references: list[Task] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def make_plan(options: BenchOptions) -> Plan:
    """Find the models, their backends and number formats.

    Raises:
        ModelError: A model is unknown, or its weights were altered.
        DeviceError: There is no such device, backend or number format, or a backend that was named
            is not installed or does not run the model; or no backend is left.
    """
    device = resolve_device(options.device)
    plan = Plan(device=device)
    named = tuple(check_name(name) for name in options.backends if name != "auto")
    whole = not named or "auto" in options.backends
    names = tuple(dict.fromkeys((*named, *(candidates(device) if whole else ()))))
    labels = [find_model(model).spec.name for model in options.models]
    for model, label in zip(options.models, labels, strict=True):
        if model in plan.labels:
            continue
        subject = load_subject(model)
        plan.labels[model] = label if labels.count(label) == 1 else model
        if subject.weights == "published":
            plan.weighted.append(model)
        _count(plan, options, model, subject)
        _add_rows(plan, options, model, subject, names, named)
    if not plan.rows:
        raise nothing_left(plan)
    _add_references(plan, options)
    return plan


def nothing_left(plan: Plan) -> DeviceError:
    """The error that no backend runs any of the models, with the reason of the plainest one."""
    which = min(plan.skipped, key=lambda name: not name.endswith(" eager"))
    return DeviceError(f"nothing is left to time: {which}: {plan.skipped[which]}")


def _count(plan: Plan, options: BenchOptions, model: str | None, subject: Subject) -> None:
    # Here and not where frames are timed: what the counter imports takes memory, too.
    size = padded(options.size, subject.descriptor)
    plan.costs[model] = cost(subject.network, size)


def _task(
    plan: Plan, options: BenchOptions, model: str | None, backend: BackendName, precision: str
) -> Task:
    return Task(
        model=model,
        backend=backend,
        size=options.size,
        device=str(plan.device),
        precision=precision,
        threads=options.threads,
        frames=options.frames if model else options.prenet_frames,
        seconds=options.seconds if model else 0.0,
    )


def _dtype(subject: Subject, backend: BackendName, plan: Plan, precision: str) -> torch.dtype:
    """Number format that the program would have; as a check, the backend is made."""
    program = make_program(
        subject.network,
        subject.descriptor,
        backend=backend,
        device=plan.device,
        precision=precision,
    )
    make_backend(backend, program)
    return program.dtype


def _add_rows(
    plan: Plan,
    options: BenchOptions,
    model: str,
    subject: Subject,
    names: Sequence[BackendName],
    named: Sequence[BackendName],
) -> None:
    for backend in names:
        try:
            dtype = _dtype(subject, backend, plan, options.precision)
        except RainclearError as error:
            if backend in named:
                raise
            plan.skipped[f"{plan.labels[model]} {backend}"] = str(error)
            continue
        plan.rows.append(_task(plan, options, model, backend, FORMAT_NAMES[dtype]))
        _want(plan, format_name(backend, dtype))


def _add_references(plan: Plan, options: BenchOptions) -> None:
    if options.prenet == "none":
        return
    _count(plan, options, None, load_subject(None))
    plan.references.append(_task(plan, options, None, "eager", "fp32"))
    _want(plan, "fp32")
    if options.prenet == "same":
        wanted = {(task.backend, task.precision): None for task in plan.rows}
        wanted.pop(("eager", "fp32"), None)
        for key in [key for key in wanted if key[0] == "openvino-int8"]:
            del wanted[key]
            plan.skipped["PReNet openvino-int8"] = "there are no ranges for int8 of random weights"
        plan.references += [_task(plan, options, None, *key) for key in wanted]


def _want(plan: Plan, precision: str) -> None:
    if precision not in plan.formats:
        plan.formats.append(precision)
