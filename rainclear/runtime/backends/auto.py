"""``--backend auto``: the fastest backend, measured once for a machine, model and size."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from rainclear.config import Settings
from rainclear.errors import RainclearError
from rainclear.nn.output import Derained
from rainclear.nn.registry import Network
from rainclear.runtime.backends import cache
from rainclear.runtime.backends.base import (
    BACKENDS,
    Backend,
    BackendName,
)
from rainclear.runtime.backends.int8_files import INT8_REVISION, kept_int8
from rainclear.runtime.backends.machine import inspect_machine
from rainclear.runtime.backends.make import make_backend, make_program
from rainclear.runtime.backends.measure import Timing, measure

__all__ = ["AutoBackend", "Choice", "Subject", "candidates", "known_choice", "tune"]

_FILE = "backends.json"
_REVISION = 3  # of the measurement, of what is measured and of the file
_WORTH_PIXELS = 1e8  # of a stream; below, measuring takes longer than any backend could save

_IN_MEMORY: dict[str, "Choice"] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is chosen for: a model, where and how it runs.

    Attributes:
        model: Name and checksum of the weights, or whatever tells models apart.
        device: Device.
        precision: Number format asked for.
    """

    model: str
    device: torch.device
    precision: str


class _Row(Settings):
    backend: BackendName
    precision: str = ""
    ms: float | None = None
    error: float | None = None
    problem: str = ""


class Choice(Settings):
    """What was measured, and so chosen.

    Attributes:
        backend: The fastest backend whose pictures were right.
        timings: All that were tried.
    """

    backend: BackendName
    timings: tuple[_Row, ...]

    @property
    def ranking(self) -> tuple[BackendName, ...]:
        """The choice, then what else was right, the fastest first, then ``eager``."""
        timed = sorted((t.ms, t.backend) for t in self.timings if t.ms is not None)
        return tuple(dict.fromkeys((self.backend, *(name for _, name in timed), "eager")))


def candidates(device: torch.device) -> tuple[BackendName, ...]:
    """Backends that ``auto`` weighs: all but ``compile``, which compiles for a minute at a start.

    TensorRT counts on a GPU alone, OpenVINO on a CPU alone.
    """
    on_gpu = device.type == "cuda"
    elsewhere = {"compile", *(("openvino", "openvino-int8") if on_gpu else ("tensorrt",))}
    return tuple(name for name in BACKENDS if name not in elsewhere)


def _key(subject: Subject, size: tuple[int, int]) -> str:
    """A key that changes with all that the speed depends on, as far as one can know."""
    facts: dict[str, Any] = {
        "revision": _REVISION,
        "machine": inspect_machine().as_dict(),
        "model": subject.model,
        "device": str(subject.device),
        "precision": subject.precision,
        # One that was made since may be faster than what was chosen; an older kind does not run.
        "int8": [INT8_REVISION, *kept_int8()],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return f"{size[1]}x{size[0]}-{digest}"


def known_choice(subject: Subject, size: tuple[int, int]) -> Choice | None:
    """The choice of an earlier measurement for this ``size`` (height, width), or ``None``."""
    key = _key(subject, size)
    if key in _IN_MEMORY:
        return _IN_MEMORY[key]
    try:
        return Choice.model_validate(cache.load(_FILE)[key])
    except (KeyError, ValidationError):
        return None


def tune(
    network: nn.Module,
    descriptor: Network,
    subject: Subject,
    size: tuple[int, int],
    names: Sequence[BackendName] | None = None,
) -> Choice:
    """Measure the candidates for frames of ``size`` (height, width) and remember the fastest."""
    timings = measure(
        network,
        descriptor,
        size,
        names=names or candidates(subject.device),
        device=subject.device,
        precision=subject.precision,
    )
    timed = [(t.ms, t.backend) for t in timings if t.ms is not None]
    rows = tuple(_row(timing) for timing in timings)
    choice = Choice(backend=min(timed)[1] if timed else "eager", timings=rows)
    key = _key(subject, size)
    _IN_MEMORY[key] = choice
    cache.store(_FILE, key, choice.model_dump())
    return choice


def _row(timing: Timing) -> _Row:
    return _Row.model_validate(timing.as_dict())


class AutoBackend:
    """Runs each size on the backend that was found fastest for it, and on eager before that.

    A size is measured when :meth:`prepare` announces a stream long enough to be worth it, never
    while frames are coming in: which backend runs is settled before the first frame.
    """

    name = "auto"

    def __init__(self, network: nn.Module, descriptor: Network, subject: Subject) -> None:
        self._network, self._descriptor, self._subject = network, descriptor, subject
        self._by_size: dict[tuple[int, int], Backend] = {}
        self._made: dict[BackendName, Backend] = {}
        self._make("eager")  # an unknown device or number format is an error at once

    def prepare(self, size: tuple[int, int], frames: int | None = 0) -> None:
        """Settle on a backend for ``size`` (height, width).

        Args:
            size: Height and width.
            frames: Frames that are to come; ``None`` for a stream without end. If they are worth
                it and nothing is known yet, the backends are measured now, which takes seconds.
        """
        if frames is None or frames * size[0] * size[1] >= _WORTH_PIXELS:
            if known_choice(self._subject, size) is None:
                tune(self._network, self._descriptor, self._subject, size)
            self._by_size.pop(size, None)
        self.chosen(size).prepare(size)

    def chosen(self, size: tuple[int, int]) -> Backend:
        """The backend for ``size``."""
        if size not in self._by_size:
            choice = known_choice(self._subject, size)
            for name in ("eager",) if choice is None else choice.ranking:
                try:
                    self._by_size[size] = self._make(name)
                    break
                except RainclearError:  # what ran when it was measured does not run any more
                    continue
        return self._by_size[size]

    def _make(self, name: BackendName) -> Backend:
        if name not in self._made:
            program = make_program(
                self._network,
                self._descriptor,
                backend=name,
                device=self._subject.device,
                precision=self._subject.precision,
            )
            self._made[name] = make_backend(name, program)
        return self._made[name]

    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`."""
        return self.chosen((batch.shape[2], batch.shape[3])).run(batch, state)
