import threading
import time

from rainclear.runtime.executor import Executor, Sink
from rainclear.runtime.own_time import OwnTime


def burn(seconds: float) -> None:
    """Take processor time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_counts_what_is_not_work():
    own = OwnTime()
    burn(0.02)
    for _ in range(3):
        with own.work():
            burn(0.05)
    burn(0.02)
    assert 0.04 <= own.seconds < 0.1


def test_work_that_fails_is_work():
    own = OwnTime()
    try:
        with own.work():
            burn(0.05)
            raise ValueError
    except ValueError:
        pass
    assert own.seconds < 0.04


def test_other_threads_and_waiting_do_not_count():
    own = OwnTime()
    other = threading.Thread(target=burn, args=(0.05,))
    other.start()
    other.join()
    time.sleep(0.05)
    assert own.seconds < 0.03


def test_executor_leaves_out_its_stages():
    def source():
        for i in range(5):
            burn(0.02)
            yield i

    with Executor(source(), {}) as results:
        assert list(results) == list(range(5))
    assert 0 < results.overhead < 0.05


def test_sink_leaves_out_what_consumes():
    with Sink(lambda item: burn(0.02)) as sink:
        for i in range(5):
            sink.put(i)
    assert 0 < sink.overhead < 0.05


def test_sink_that_failed_tells_too():
    def consume(item):
        raise ValueError

    sink = Sink(consume)
    try:
        with sink:
            sink.put(1)
    except ValueError:
        pass
    assert sink.overhead > 0
