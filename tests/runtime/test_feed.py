"""The reader thread of a live source: drops, losses, cameras that die and readers that hang."""

import threading
import time
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainclear.errors import InputError, StageError
from rainclear.frame import Frame
from rainclear.runtime.feed import Backoff, LiveFeed

QUICK = Backoff(first=0.01, longest=0.03)
PIXELS = np.zeros((2, 2, 3), np.uint8)


class Camera:
    """A fake camera: gives the frames of one connection, then does what ``then`` says."""

    def __init__(self, count, *, then="end", pause=0.0, first=0, release=None):
        self.count, self.then, self.pause, self.first = count, then, pause, first
        self.release = release or threading.Event()
        self.cancelled = threading.Event()
        self.closed = False

    def __iter__(self):
        for n in range(self.count):
            if self.cancelled.wait(self.pause) if self.pause else self.cancelled.is_set():
                return
            yield Frame(pixels=PIXELS, pts=self.first + n, time_base=Fraction(1, 100), index=n)
        if self.then == "die":
            raise InputError("cable pulled")
        if self.then == "hang":
            self.release.wait(30)
            yield Frame(pixels=PIXELS, pts=999, index=999)
        if self.then == "bug":
            raise ZeroDivisionError("driver")

    def cancel(self):
        self.cancelled.set()

    def close(self):
        self.closed = True


class Shop:
    """Gives out cameras one after the other; an exception in the list is raised."""

    def __init__(self, *items):
        self.items, self.given = list(items), []

    def __call__(self):
        item = self.items.pop(0) if self.items else InputError("no camera")
        if isinstance(item, Exception):
            raise item
        self.given.append(item)
        return item


def feed_of(*items, **options):
    return LiveFeed(
        Shop(*items), **{"policy": "block", "backoff": QUICK, "give_up": 5.0, **options}
    )


def wait_for_readers(seconds=5.0):
    end = time.monotonic() + seconds
    while any(t.name == "rainclear-feed" for t in threading.enumerate()):
        assert time.monotonic() < end, "a reader is still there"
        time.sleep(0.005)


def test_a_source_that_ends_gives_every_frame():
    camera = Camera(50)
    with feed_of(camera, reconnect=False) as feed:
        frames = list(feed)
    assert [f.index for f in frames] == list(range(50))
    assert [f.pts for f in frames] == list(range(50))
    assert all(f.metadata["captured"] <= time.monotonic() for f in frames)
    assert feed.counts.captured == 50
    assert feed.counts.dropped == 0
    assert camera.closed


def test_blocking_holds_the_source_up():
    camera = Camera(100)
    with feed_of(camera, depth=3, reconnect=False) as feed:
        first = next(iter(feed))
        time.sleep(0.1)
        assert feed.counts.captured <= 5
    assert first.index == 0
    assert camera.closed


def test_drop_oldest_keeps_up_to_date():
    camera = Camera(1000)
    with feed_of(camera, policy="drop-oldest", depth=2, reconnect=False) as feed:
        while not camera.closed:
            time.sleep(0.005)
        frames = list(feed)
    assert [f.index for f in frames] == [998, 999]
    assert feed.counts.dropped == 998
    assert feed.counts.captured == 1000


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 60), depth=st.integers(1, 5), pause=st.sampled_from([0, 0.001]))
def test_every_frame_is_delivered_or_counted(count, depth, pause):
    camera = Camera(count)
    with feed_of(camera, policy="drop-oldest", depth=depth, reconnect=False) as feed:
        got = []
        for frame in feed:
            got.append(frame.index)
            time.sleep(pause)
    assert got == sorted(set(got))
    assert len(got) + feed.counts.dropped == count
    assert got[-1] == count - 1


def test_a_camera_that_dies_and_comes_back():
    cameras = Camera(5, then="die"), InputError("not yet"), InputError("not yet"), Camera(5)
    with feed_of(*cameras) as feed:
        frames = list(islice(feed, 10))
    assert [f.index for f in frames] == list(range(10))
    assert feed.counts.reconnects == 1
    assert cameras[0].closed
    stamps = [f.pts for f in frames]
    assert stamps == sorted(set(stamps)), "time went backwards at the reconnection"
    assert [b - a for a, b in pairwise(stamps[5:])] == [1] * 4


def test_the_end_of_a_connection_is_a_loss_where_it_should_go_on():
    with feed_of(Camera(2), Camera(2), Camera(2)) as feed:
        frames = list(islice(feed, 6))
    assert len(frames) == 6
    assert feed.counts.last_error == "the source ended the connection"


def test_a_reader_that_hangs_is_left_behind():
    release = threading.Event()
    stuck = Camera(3, then="hang", release=release)
    with feed_of(stuck, Camera(3), timeout=0.15) as feed:
        frames = []
        for frame in feed:
            frames.append(frame)
            if len(frames) == 6:
                break
        release.set()
    wait_for_readers()
    assert [f.index for f in frames] == list(range(6))
    assert feed.counts.stuck == 1
    assert stuck.closed, "a reader that wakes up late closes its camera"
    assert all(f.pts != 999 for f in frames)


def test_readers_that_hang_do_not_pile_up():
    release = threading.Event()
    cameras = [Camera(1, then="hang", release=release) for _ in range(9)]
    with feed_of(*cameras, timeout=0.06, max_stuck=2) as feed:
        got = iter(feed)
        with pytest.raises(StageError, match="3 times"):
            list(got)
        release.set()
    wait_for_readers()


def test_a_lost_source_is_given_up_in_the_end():
    with (
        feed_of(Camera(2, then="die"), give_up=0.2) as feed,
        pytest.raises(StageError, match=r"no frame for 0\.2 seconds; .*(cable|no camera)"),
    ):
        list(feed)


def test_what_cannot_be_opened_at_first_is_an_error_at_once():
    with (
        feed_of(InputError("camera 7: there is none"), give_up=None) as feed,
        pytest.raises(InputError, match="camera 7"),
    ):
        list(feed)


def test_errors_that_nobody_expected_reach_the_caller():
    with (
        feed_of(Camera(2, then="bug"), Camera(2)) as feed,
        pytest.raises(ZeroDivisionError, match="driver"),
    ):
        list(feed)


def test_leaving_early_ends_the_thread():
    camera = Camera(10**9, pause=0.001)
    with feed_of(camera) as feed:
        next(iter(feed))
    assert camera.closed
    assert not any(t.name == "rainclear-feed" for t in threading.enumerate())


def test_a_slow_consumer_is_no_dead_reader():
    with feed_of(Camera(4), reconnect=False, depth=1, timeout=0.05, give_up=0.05) as feed:
        got = []
        for frame in feed:
            time.sleep(0.1)
            got.append(frame.index)
    assert got == [0, 1, 2, 3]


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="block, drop-oldest"):
        LiveFeed(Shop(), policy="newest")
    with pytest.raises(ValueError, match="depth"):
        LiveFeed(Shop(), depth=0)
    with pytest.raises(StageError, match="with block"):
        next(iter(LiveFeed(Shop())))


def test_pauses_grow_up_to_a_limit():
    pauses = [Backoff().wait(n) for n in (0, 1, 2, 10, 10**9)]
    assert pauses == [0.5, 1.0, 2.0, 15.0, 15.0]
