import threading
import time
from collections import Counter
from itertools import count

import pytest

from rainclear.errors import StageError
from rainclear.runtime import executor as module
from rainclear.runtime.executor import Executor


def double(items):
    for item in items:
        yield 2 * item


def keep(items):
    yield from items


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("rainclear-")]


def wait_until(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_results_keep_the_order():
    with Executor(range(200), {"a": double, "b": keep}, depth=2) as results:
        assert list(results) == [2 * n for n in range(200)]
    assert threads() == []


def test_without_stages_and_without_items():
    with Executor(range(3), {}) as results:
        assert list(results) == [0, 1, 2]
    with Executor([], {"a": double}) as results:
        assert list(results) == []


def test_stages_may_drop_and_add_items():
    def odd_twice(items):
        for item in items:
            if item % 2:
                yield item
                yield item

    with Executor(range(6), {"a": odd_twice}) as results:
        assert list(results) == [1, 1, 3, 3, 5, 5]


def test_stages_run_at_the_same_time():
    together = threading.Barrier(2, timeout=5)

    def meet(but):
        def stage(items):
            for item in items:
                if item != but:
                    together.wait()
                yield item

        return stage

    # The barrier opens only while "a" works on an item and "b" on the one before it.
    with Executor(range(4), {"a": meet(but=0), "b": meet(but=3)}) as results:
        assert list(results) == [0, 1, 2, 3]


@pytest.mark.parametrize("depth", [1, 3])
def test_source_does_not_run_ahead_of_a_slow_consumer(depth):
    produced = 0

    def source():
        nonlocal produced
        for n in count():
            produced += 1
            yield n

    stages = {"a": keep, "b": keep}
    # Each link holds `depth`; each worker holds one more, and the consumer one.
    bound = (depth + 1) * (len(stages) + 1) + 1
    with Executor(source(), stages, depth=depth) as results:
        next(iter(results))
        assert wait_until(lambda: produced >= bound)
        time.sleep(0.15)
        assert produced == bound


def test_depth_must_be_positive():
    with pytest.raises(ValueError, match="depth"):
        Executor([], {}, depth=0)


def test_error_of_the_source_reaches_the_caller_as_it_is():
    error = OSError("camera unplugged")

    def source():
        yield 1
        raise error

    with (
        pytest.raises(OSError) as caught,
        Executor(source(), {"a": double}) as results,
    ):
        list(results)
    assert caught.value is error
    assert threads() == []


@pytest.mark.parametrize("broken", ["a", "b"])
@pytest.mark.parametrize("eager", [False, True])
def test_error_of_a_stage_reaches_the_caller_as_it_is(broken, eager):
    error = KeyError("weights")

    def fail(items):
        for item in items:
            if item == 4:
                raise error
            yield item

    def fail_at_once(items):
        raise error

    stages = {"a": keep, "b": keep} | {broken: fail_at_once if eager else fail}
    started = time.monotonic()
    with pytest.raises(KeyError) as caught, Executor(count(), stages) as results:
        assert list(results)
    assert caught.value is error
    assert time.monotonic() - started < 3
    assert threads() == []


@pytest.mark.parametrize("error", [ValueError("full"), KeyboardInterrupt(), SystemExit(3)])
def test_error_of_the_consumer_ends_all_threads(error):
    started = time.monotonic()
    with (
        pytest.raises(type(error)) as caught,
        Executor(count(), {"a": double, "b": keep}, depth=1) as results,
    ):
        for item in results:
            if item == 6:
                raise error
    assert caught.value is error
    assert time.monotonic() - started < 3
    assert threads() == []


def test_early_exit_ends_all_threads_and_closes_generators():
    closed = Counter()

    def source():
        try:
            yield from count()
        finally:
            closed["source"] += 1

    def stage(items):
        try:
            yield from items
        finally:
            closed["stage"] += 1

    kept = source()  # a reference from outside, so that the garbage collector does not help
    with Executor(kept, {"a": stage, "b": stage}) as results:
        for item in results:
            if item == 3:
                break
    assert closed == {"source": 1, "stage": 2}
    assert threads() == []


def test_never_iterated():
    with Executor(count(), {"a": double}):
        pass
    assert threads() == []


def test_error_while_a_stage_cleans_up_is_not_lost_in_a_thread():
    error = OSError("cannot flush")

    def stage(items):
        try:
            yield from items
        finally:
            raise error

    # An error that only the thread sees would fail the test (see filterwarnings).
    with Executor(count(), {"a": stage}) as results:
        next(iter(results))
    with pytest.raises(OSError) as caught, Executor([1], {"a": stage}) as results:
        list(results)
    assert caught.value is error


def test_the_first_of_two_errors_is_the_one_raised():
    def source():
        try:
            yield from count()
        finally:
            raise OSError("an after-effect")

    def fail(items):
        raise KeyError("the cause") if next(items) == 0 else ValueError

    with pytest.raises(KeyError, match="the cause"), Executor(source(), {"a": fail}) as results:
        assert wait_until(lambda: threads() == [])
        list(results)


def test_iterating_again_after_the_end_gives_nothing():
    with Executor(range(3), {"a": double}) as results:
        assert list(results) == [0, 2, 4]
        assert list(results) == []


def test_a_stage_that_ends_early_ends_the_stream():
    def first_two(items):
        yield next(items)
        yield next(items)

    with Executor(count(), {"a": first_two}, depth=1) as results:
        assert list(results) == [0, 1]
        assert wait_until(lambda: threads() == [])


def test_outside_a_with_block_it_says_so_instead_of_waiting_for_ever():
    with pytest.raises(StageError, match="with"):
        list(Executor(range(3), {}))


def test_a_stage_that_does_not_end_is_named(monkeypatch):
    monkeypatch.setattr(module, "_JOIN", 0.1)
    release = threading.Event()

    def stuck(items):
        yield next(items)
        release.wait(5)

    try:
        with (
            pytest.raises(StageError, match="rainclear-model did not end"),
            Executor(count(), {"model": stuck}) as results,
        ):
            next(iter(results))
    finally:
        release.set()
    assert wait_until(lambda: threads() == [])


def test_a_stuck_stage_does_not_hide_the_error_of_the_consumer(monkeypatch):
    monkeypatch.setattr(module, "_JOIN", 0.05)
    release = threading.Event()

    def stuck(items):
        yield next(items)
        release.wait(5)

    try:
        with pytest.raises(ZeroDivisionError), Executor(count(), {"model": stuck}) as results:
            for _ in results:
                raise ZeroDivisionError
    finally:
        release.set()
    assert wait_until(lambda: threads() == [])


def test_seconds_do_not_count_waiting_for_the_stage_before():
    def slow(n):
        for i in range(n):
            time.sleep(0.03)
            yield i

    with Executor(slow(5), {"idle": keep, "last": keep}) as results:
        assert len(list(results)) == 5
    seconds = results.seconds
    assert list(seconds) == ["source", "idle", "last"]
    assert seconds["source"] >= 0.15
    assert seconds["idle"] < 0.08 and seconds["last"] < 0.08


def test_seconds_do_not_count_waiting_for_the_stage_after():
    def work(items):
        for item in items:
            time.sleep(0.01)
            yield item

    with Executor(range(6), {"work": work}, depth=1) as results:
        for _ in results:
            time.sleep(0.03)
    assert results.seconds["source"] < 0.05
    assert 0.06 <= results.seconds["work"] < 0.14
