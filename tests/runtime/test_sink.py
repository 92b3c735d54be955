"""The thread at the end of a pipeline: order, errors, and an early end."""

import threading

import pytest

from rainclear.errors import StageError
from rainclear.runtime import executor as module
from rainclear.runtime.executor import Sink


def test_items_are_consumed_in_order_by_another_thread():
    seen: list[tuple[int, int]] = []
    with Sink(lambda i: seen.append((i, threading.get_ident())), depth=2) as sink:
        for i in range(50):
            sink.put(i)
    assert [i for i, _ in seen] == list(range(50))
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})
    assert sink.seconds >= 0


def test_an_error_reaches_put():
    def consume(item: int) -> None:
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError), Sink(consume, depth=1) as sink:
        for i in range(1000):
            sink.put(i)


def test_an_error_in_the_last_item_reaches_the_end_of_the_block():
    def consume(item: int) -> None:
        if item == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Sink(consume, depth=4) as sink:
        for i in range(3):
            sink.put(i)


def test_the_callers_error_drops_what_waits():
    gate, seen = threading.Event(), []

    def consume(item: int) -> None:
        gate.wait(5)
        seen.append(item)

    with pytest.raises(KeyboardInterrupt), Sink(consume, depth=4) as sink:
        for i in range(4):
            sink.put(i)
        threading.Timer(0.05, gate.set).start()
        raise KeyboardInterrupt
    assert len(seen) <= 1


def test_put_waits_for_a_slow_consumer():
    gate, put = threading.Event(), []

    def produce() -> None:
        with Sink(lambda item: gate.wait(5), depth=2) as sink:
            for i in range(10):
                sink.put(i)
                put.append(i)

    thread = threading.Thread(target=produce)
    thread.start()
    thread.join(0.1)
    assert len(put) <= 3  # two wait, one is being consumed
    gate.set()
    thread.join(5)
    assert len(put) == 10


def test_a_consumer_that_hangs_is_told(monkeypatch):
    monkeypatch.setattr(module, "_JOIN", 0.05)
    release = threading.Event()

    def hang(item: int) -> None:
        release.wait(10)

    try:
        with (
            pytest.raises(StageError, match=r"takes no more: nothing for 0\.15 seconds"),
            Sink(hang, depth=1, timeout=0.15) as sink,
        ):
            for i in range(10):
                sink.put(i)
        # The last items wait in the queue when the block is left.
        with (
            pytest.raises(StageError, match="takes no more"),
            Sink(hang, depth=4, timeout=0.15) as sink,
        ):
            sink.put(0)
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread.name == "rainclear-sink":
                thread.join(5)


def test_a_slow_consumer_does_not_hang():
    seen: list[int] = []

    def slow(item: int) -> None:
        threading.Event().wait(0.03)
        seen.append(item)

    with Sink(slow, depth=1, timeout=0.2) as sink:
        for i in range(12):
            sink.put(i)
    assert seen == list(range(12))
