"""Random schedules of failures, delays, early leaves and Ctrl-C: each ends, soon, with no thread.

120 schedules of each kind by default; RAINCLEAR_SCHEDULES says how many.
"""

import os
import signal
import threading
import time
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rainclear.errors import StageError
from rainclear.runtime import executor as module
from rainclear.runtime.executor import Executor, Sink

SCHEDULES = int(os.environ.get("RAINCLEAR_SCHEDULES", "120"))
DELAYS = (0.0, 0.0, 0.0, 0.0002, 0.002)
ATTEMPT = settings(
    max_examples=SCHEDULES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Waits end sooner, so that there is time for many schedules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_POLL", 0.002)
        patch.setattr(module, "_JOIN", 5.0)
        yield


@dataclass(frozen=True)
class Schedule:
    """A run: items, stages by kind, how long each takes, and what goes wrong where.

    Part 0 is the source, part k the k-th stage, and the part after the last stage is the sink.
    """

    items: int
    kinds: tuple[str, ...]
    depth: int
    delays: tuple[float, ...]
    fail_in: int | None
    fail_at: int  # -1: before the first item, at once
    fail_late: bool  # while cleaning up
    error: type[BaseException]
    leave_after: int | None
    leave_by: type[BaseException] | None  # None is a plain break


class Parts:
    """The source, stages and sink of a schedule, counting those begun and those cleaned up."""

    def __init__(self, plan: Schedule, *, slow: bool = True, on_failure=None) -> None:
        self.plan, self.opened, self.closed = plan, 0, 0
        self.failure = plan.error("planned")
        self.on_failure = on_failure or self._raise
        self.failed_at: float | None = None
        self.consumed: list[int] = []
        self._delays = plan.delays if slow else (0.0,)

    def _raise(self):
        self.failed_at = time.monotonic()
        raise self.failure

    def _step(self, number, position):
        if delay := self._delays[(number + position) % len(self._delays)]:
            time.sleep(delay)
        plan = self.plan
        if number == plan.fail_in and position == plan.fail_at and not plan.fail_late:
            self.on_failure()

    def _watch(self, number, items):
        self.opened += 1
        plan = self.plan
        try:
            for position, item in enumerate(items):
                self._step(number, position)
                yield item
        finally:
            self.closed += 1
            if number == plan.fail_in and plan.fail_late:
                self.on_failure()

    def source(self):
        return self._watch(0, iter(range(self.plan.items)))

    def stages(self):
        kinds = {
            "same": lambda items: items,
            "twice": lambda items: (x for item in items for x in (item, item)),
            "odd": lambda items: (item for item in items if item % 2),
        }

        def stage(number, kind):
            def run(items):
                # At once: where the stage is called, and not where it is iterated over.
                if number == self.plan.fail_in and self.plan.fail_at == -1:
                    self.on_failure()
                return self._watch(number, kinds[kind](items))

            return run

        return {f"s{n}": stage(n, kind) for n, kind in enumerate(self.plan.kinds, 1)}

    def sink(self, item):
        self._step(len(self.plan.kinds) + 1, len(self.consumed))
        self.consumed.append(item)


def serial(plan: Schedule) -> tuple[list[int], bool]:
    """What the same parts give one after the other, and whether they fail."""
    parts = Parts(plan, slow=False)
    results = parts.source()
    try:
        for stage in parts.stages().values():
            results = stage(results)
        for item in results:
            parts.sink(item)
    except BaseException as error:
        assert error is parts.failure
        return parts.consumed, True
    return parts.consumed, False


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("rainclear-")]


def none_left(seconds: float = 1.0) -> bool:
    end = time.monotonic() + seconds
    while threads() and time.monotonic() < end:
        time.sleep(0.002)
    return threads() == []


errors = st.sampled_from([ValueError, StageError, KeyboardInterrupt])


@st.composite
def schedules(draw, *, failing: bool = False, leaving: bool = True):
    kinds = tuple(draw(st.lists(st.sampled_from(["same", "twice", "odd"]), max_size=3)))
    part = st.integers(0, len(kinds) + 1)
    fail_in = draw(part if failing else st.none() | part)
    leave = st.none() | st.integers(1, 8) if leaving else st.none()
    return Schedule(
        items=draw(st.integers(0, 12)),
        kinds=kinds,
        depth=draw(st.integers(1, 3)),
        delays=tuple(draw(st.lists(st.sampled_from(DELAYS), min_size=1, max_size=5))),
        fail_in=fail_in,
        fail_at=draw(st.integers(-1, 12)),
        fail_late=fail_in is not None and fail_in <= len(kinds) and draw(st.booleans()),
        error=draw(errors),
        leave_after=draw(leave),
        leave_by=draw(st.none() | errors),
    )


@ATTEMPT
@given(plan=schedules())
def test_any_schedule_ends_with_the_right_items_or_the_right_error(plan):
    wanted, fails = serial(plan)
    parts, given_, caught = Parts(plan), 0, None
    try:
        with (
            Executor(parts.source(), parts.stages(), depth=plan.depth) as results,
            Sink(parts.sink, depth=plan.depth) as sink,
        ):
            for item in results:
                sink.put(item)
                given_ += 1
                if given_ == plan.leave_after:
                    if plan.leave_by:
                        raise plan.leave_by("consumer")
                    break
    except BaseException as error:
        caught = error
    if parts.failed_at is not None and caught is parts.failure:
        assert time.monotonic() - parts.failed_at < 1.0
    assert threads() == []
    # A part that was never begun has nothing to clean up.
    assert parts.opened == parts.closed
    assert parts.consumed == wanted[: len(parts.consumed)]
    if caught is parts.failure:
        assert fails or parts.failed_at is not None
    elif given_ == plan.leave_after:
        assert type(caught) is (plan.leave_by or type(None))
    else:
        assert caught is None and not fails and parts.consumed == wanted


@ATTEMPT
@given(plan=schedules(failing=True, leaving=False), later=st.sampled_from([0.0, 0.0, 0.001, 0.01]))
def test_ctrl_c_at_any_stage_ends_everything(plan, later):
    """A real signal, as a terminal sends it, from where a part would have failed, or after that."""
    main = threading.main_thread().ident
    timers: list[threading.Timer] = []

    def press():
        if timers:
            return
        timers.append(threading.Timer(later, signal.pthread_kill, (main, signal.SIGINT)))
        timers[0].start()

    parts, begun = Parts(plan, on_failure=press), time.monotonic()
    pressed = False
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            with (
                Executor(parts.source(), parts.stages(), depth=plan.depth) as results,
                Sink(parts.sink, depth=plan.depth) as sink,
            ):
                for item in results:
                    sink.put(item)
            for timer in timers:  # it may come after the end
                timer.join(5.0)
                time.sleep(0.001)
        except KeyboardInterrupt:
            pressed = True
        assert pressed == bool(timers)
        assert time.monotonic() - begun < 5.0
        assert none_left()
        assert parts.opened == parts.closed
    finally:
        for timer in timers:
            timer.join(5.0)
        signal.signal(signal.SIGINT, before)


@ATTEMPT
@given(plan=schedules(leaving=False), extra=st.integers(0, 3))
def test_a_pipeline_that_nobody_iterates_over_ends(plan, extra):
    parts = Parts(plan)
    with Executor(parts.source(), parts.stages(), depth=plan.depth):
        time.sleep(extra * 0.001)
    assert threads() == []
    assert parts.opened == parts.closed
