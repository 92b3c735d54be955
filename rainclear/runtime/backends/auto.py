"""``--backend auto``: the fastest backend, measured once for a machine, model and size."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from rainclear.config import Settings
from rainclear.nn.output import Derained
from rainclear.nn.registry import Network
from rainclear.runtime.backends import cache
from rainclear.runtime.backends.base import (
    BACKENDS,
    Backend,
    BackendName,
)
from rainclear.runtime.backends.int8_files import INT8_REVISION, kept_int8
from rainclear.runtime.backends.machine import inspect_machine, load_average
from rainclear.runtime.backends.make import make_backend, make_program
from rainclear.runtime.backends.measure import (
    Timing,
    feed,
    in_one_line,
    measure,
    moving_frames,
)

__all__ = ["AutoBackend", "Choice", "Subject", "candidates", "known_choice", "tune"]

_FILE = "backends.json"
_REVISION = 4  # of the measurement, of what is measured and of the file
_WORTH_PIXELS = 1e8  # of a stream; below, measuring takes longer than any backend could save
_PATIENCE = 300.0  # seconds to wait for another process that measures

_LOG = logging.getLogger(__name__)
"""Where nobody set up logging, Python writes warnings to stderr: plain lines, above a bar."""

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
        measured: When that was.
        load: Load average of the machine before; the programs of others cost the time of some.
    """

    backend: BackendName
    timings: tuple[_Row, ...]
    measured: datetime | None = None
    load: float | None = None

    @property
    def ranking(self) -> tuple[BackendName, ...]:
        """The choice, then what else was right, the fastest first, then ``eager``."""
        timed = sorted((t.ms, t.backend) for t in self.timings if t.ms is not None)
        return tuple(dict.fromkeys((self.backend, *(name for _, name in timed), "eager")))


def candidates(device: torch.device, precision: str = "auto") -> tuple[BackendName, ...]:
    """Backends that ``auto`` weighs: all but ``compile``, which compiles for a minute at a start.

    TensorRT counts on a GPU alone, OpenVINO on a CPU alone, and int8 only where no ``precision``
    was asked for.
    """
    on_gpu = device.type == "cuda"
    elsewhere = {"compile", *(("openvino", "openvino-int8") if on_gpu else ("tensorrt",))}
    if precision != "auto":
        elsewhere.add("openvino-int8")
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
    *,
    anew: bool = True,
) -> Choice:
    """Measure the candidates for frames of ``size`` (height, width) and remember the fastest.

    One process at a time, since two would take each other for slow backends.

    Args:
        network: Folded, in evaluation mode.
        descriptor: Its descriptor.
        subject: What is chosen for.
        size: Height and width.
        names: The candidates, if not the usual.
        anew: Measure even if another process did meanwhile.
    """
    with cache.locked("measuring", patience=_PATIENCE):
        known = None if anew else known_choice(subject, size)
        if known is not None:
            return known
        load, now = load_average(), datetime.now(UTC).replace(microsecond=0)
        timings = measure(
            network,
            descriptor,
            size,
            names=names or candidates(subject.device, subject.precision),
            device=subject.device,
            precision=subject.precision,
        )
        timed = [(t.ms, t.backend) for t in timings if t.ms is not None]
        choice = Choice(
            backend=min(timed)[1] if timed else "eager",
            timings=tuple(_row(timing) for timing in timings),
            measured=now,
            load=load,
        )
        key = _key(subject, size)
        _IN_MEMORY[key] = choice
        cache.store(_FILE, key, choice.model_dump(mode="json"))
    return choice


def _row(timing: Timing) -> _Row:
    return _Row.model_validate(timing.as_dict())


class AutoBackend:
    """Runs each size on the backend that was found fastest for it, and on eager before that.

    A size is measured when :meth:`prepare` announces a stream long enough to be worth it, never
    while frames are coming in: which backend runs is settled before the first frame. One that
    fails at a size, even at its first frame there, is left out for it, and the next stands in.
    """

    name = "auto"

    def __init__(self, network: nn.Module, descriptor: Network, subject: Subject) -> None:
        self._network, self._descriptor, self._subject = network, descriptor, subject
        self._by_size: dict[tuple[int, int], Backend] = {}
        self._made: dict[BackendName, Backend] = {}
        self._works: dict[tuple[BackendName, tuple[int, int]], bool] = {}
        self._make("eager")  # an unknown device or number format is an error at once

    def prepare(self, size: tuple[int, int], frames: int | None = 0) -> None:
        """Settle on a backend for ``size`` (height, width).

        Args:
            size: Height and width.
            frames: Frames that are to come; ``None`` for a stream without end. If they are worth
                it and nothing is known yet, the backends are measured now, which takes seconds.
        """
        worth = frames is None or frames * size[0] * size[1] >= _WORTH_PIXELS
        if worth and known_choice(self._subject, size) is None:
            _LOG.warning(
                "measuring backends for %dx%d once, which takes some seconds ...", size[1], size[0]
            )
            tune(self._network, self._descriptor, self._subject, size, anew=False)
        self._by_size[size] = self._settle(size)

    def chosen(self, size: tuple[int, int]) -> Backend:
        """The backend for ``size``."""
        if size not in self._by_size:
            self._by_size[size] = self._settle(size)
        return self._by_size[size]

    def _settle(self, size: tuple[int, int]) -> Backend:
        """The first of the ranking that runs; eager, which is always in it, needs no trial."""
        choice = known_choice(self._subject, size)
        for name in () if choice is None else choice.ranking:
            if name == "eager":
                break
            if not self._works.get((name, size), True):
                continue
            try:
                backend = self._make(name)
                backend.prepare(size)
                if (name, size) not in self._works:
                    run, (frame,) = feed(backend, moving_frames(size, 1, self._subject.device))
                    run(frame, None)
            except Exception as error:  # what ran when it was measured does not run any more
                self._works[name, size] = False
                _LOG.warning(
                    "backend %r is left out at %dx%d: %s",
                    name,
                    size[1],
                    size[0],
                    in_one_line(error),
                )
                continue
            self._works[name, size] = True
            return backend
        return self._make("eager")

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
