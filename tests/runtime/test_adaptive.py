"""A live stream that is derained less when late: which level, when, and what a picture gets."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainclear.errors import ModelError
from rainclear.frame import Frame
from rainclear.runtime.adaptive import (
    AdaptiveDerainer,
    HalfSize,
    Level,
    Pace,
    Untouched,
    levels_of,
    prepared_stream,
)


def run(pace, costs, *, gap=0.04, seconds=60.0):
    """Levels chosen over time where level k takes ``costs[k]``; a list of (time, level)."""
    now, out = 0.0, []
    while now < seconds:
        level = pace.level
        now += max(gap, costs[level])
        pace.note(now=now, seconds=costs[level], gap=gap)
        out.append((now, level))
    return out


def test_a_machine_that_keeps_up_stays_at_the_best_level():
    assert {level for _, level in run(Pace(3), [0.03, 0.02, 0.0])} == {0}


def test_one_that_is_late_goes_down_until_it_is_not():
    levels = [level for _, level in run(Pace(4), [0.2, 0.1, 0.03, 0.0], seconds=2.0)]
    assert levels[-1] == 2
    assert levels == sorted(levels)
    # Five late frames at each of the two that are too dear.
    assert levels.count(0) == levels.count(1) == 5


def test_when_nothing_is_quick_enough_the_cheapest_is_used():
    history = run(Pace(2, rest=100.0), [0.2, 0.1], seconds=5.0)
    assert [level for _, level in history[5:]] == [1] * (len(history) - 5)


def test_a_single_slow_frame_changes_nothing():
    pace = Pace(2)
    for n in range(100):
        pace.note(now=0.04 * n, seconds=0.5 if n % 25 == 0 else 0.001, gap=0.04)
    assert pace.level == 0


def test_better_levels_are_tried_again_and_less_and_less_often():
    history = run(Pace(2, rest=2.0, longest_rest=16.0), [0.1, 0.01], seconds=120.0)
    tries = [b for (a, before), (b, after) in pairwise(history) if (before, after) == (1, 0)]
    rests = np.diff(tries)
    assert rests[0] == pytest.approx(4.5, abs=0.1)
    assert rests[-1] == rests[-2] == pytest.approx(16.5, abs=0.1)
    late = sum(1 for _, level in history if level == 0)
    assert late / len(history) < 0.05


def test_a_machine_that_has_time_again_goes_up():
    pace, costs = Pace(3), [0.1, 0.05, 0.0]
    run(pace, costs, seconds=5.0)
    assert pace.level == 2
    history = run(Pace(3), costs, seconds=5.0) + run(pace, [0.01, 0.005, 0.0], seconds=60.0)
    assert history[-1][1] == 0


@settings(max_examples=30, deadline=None)
@given(
    costs=st.lists(st.floats(0.0, 0.3), min_size=1, max_size=4).map(lambda c: sorted(c)[::-1]),
    gap=st.floats(0.03, 0.1),
)
def test_it_settles_at_the_best_level_there_is_time_for(costs, gap):
    history = run(Pace(len(costs)), costs, gap=gap, seconds=90.0)
    fits = [k for k, cost in enumerate(costs) if cost <= gap] or [len(costs) - 1]
    levels = [level for now, level in history if now > 45.0]
    assert max(levels) <= max(fits[0], 0)
    assert levels.count(fits[0]) / len(levels) > 0.7


class Fake:
    """Takes a time by a clock that it moves itself, and marks what it derained."""

    def __init__(self, clock, cost, mark):
        self.clock, self.cost, self.mark = clock, cost, mark
        self.rain_score, self.resets, self.sizes = mark / 100, 0, []

    def prepare(self, size):
        self.sizes.append(size)

    def process(self, rgb):
        self.clock[0] += self.cost
        return np.full_like(rgb, self.mark)

    def reset(self):
        self.resets += 1


def camera(clock, count, gap=0.04, depth=2):
    """Frames of a camera that runs on while they are derained; the oldest are dropped."""
    number = -1
    for _ in range(count):
        clock[0] = max(clock[0], (number + 1) * gap)
        newest = int(clock[0] / gap + 1e-9)
        number = max(number + 1, newest - depth + 1)
        notes = {"captured": number * gap}
        yield Frame(pixels=np.zeros((4, 4, 3), np.uint8), index=number, metadata=notes)


def test_a_stream_says_what_was_done_to_each_frame():
    clock = [0.0]
    slow, quick = Fake(clock, 0.2, 10), Fake(clock, 0.01, 20)
    levels = [Level(name="slow", restorer=slow), Level(name="quick", restorer=quick)]
    derainer = AdaptiveDerainer(levels, clock=lambda: clock[0])
    out = list(derainer.stream(camera(clock, 200)))
    names = [f.metadata["level"] for f in out]
    assert names[0] == "slow" and names.count("quick") > 150
    for frame in out:
        mark = {"slow": 10, "quick": 20}[frame.metadata["level"]]
        assert (frame.pixels == mark).all()
        assert frame.metadata["rain_score"] == mark / 100
        assert frame.metadata["captured"] >= 0
    # Dropped frames are no reason to think that the camera is slow.
    assert any(b.index - a.index > 1 for a, b in pairwise(out))
    # What a level remembers is old when it is its turn again.
    assert slow.sizes == quick.sizes == [(4, 4)]  # before the first frame, and once
    assert slow.resets == 1 + sum((a, b) == ("quick", "slow") for a, b in pairwise(names))


def test_frames_without_an_arrival_are_derained_all_the_same():
    clock = [0.0]
    derainer = AdaptiveDerainer(
        [Level(name="only", restorer=Fake(clock, 0.1, 7))], clock=lambda: clock[0]
    )
    frames = [Frame(pixels=np.zeros((2, 2, 3), np.uint8), index=n) for n in range(4)]
    assert [f.metadata["level"] for f in derainer.stream(frames)] == ["only"] * 4
    with pytest.raises(ValueError, match="at least one"):
        AdaptiveDerainer([])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(48, 64), (47, 61), (1, 1)])
def test_half_the_size_keeps_what_the_network_keeps(dtype, shape):
    class Same(Untouched):
        def process(self, rgb):
            assert rgb.shape == (max(1, shape[0] // 2), max(1, shape[1] // 2), 3)
            return rgb

    rng = np.random.default_rng(1)
    rgb = rng.integers(0, np.iinfo(dtype).max, (*shape, 3), dtype, endpoint=True)
    out = HalfSize(Same()).process(rgb)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, rgb)


def test_a_stream_without_end_is_made_ready_for():
    calls = []

    class Recorder:
        def prepare(self, size):
            calls.append(size)

        def stream(self, frames):
            yield from (calls.append(f.index) or f for f in frames)

    frames = [Frame(pixels=np.zeros((6, 8, 3), np.uint8), index=n) for n in range(2)]
    assert list(prepared_stream(Recorder())(iter(frames))) == frames
    assert calls == [(6, 8), 0, 1]
    assert list(prepared_stream(Recorder())([])) == []


def test_half_the_size_takes_off_what_the_network_takes_off():
    class Darker(Untouched):
        def process(self, rgb):
            return rgb - np.minimum(rgb, 30)

    rgb = np.full((40, 40, 3), 100, np.uint8)
    rgb[::2] = 110
    out = HalfSize(Darker()).process(rgb)
    assert (out[::2] == 80).all() and (out[1::2] == 70).all()
    assert (HalfSize(Darker()).process(np.full((8, 8, 3), 9, np.uint8)) == 0).all()


def test_the_levels_of_a_model(tiny_model, picture):
    try:
        levels = levels_of(str(tiny_model), device="cpu", precision="fp32")
    except ModelError as error:
        pytest.skip(str(error))
    names = [level.name for level in levels]
    assert names == [str(tiny_model), "d-daiam-rt", "d-daiam-rt at half size", "untouched"]
    for level in levels:
        out = level.restorer.process(picture())
        assert out.shape == picture().shape and out.dtype == np.uint8
    assert np.array_equal(levels[-1].restorer.process(picture()), picture())
    names = [level.name for level in levels_of(device="cpu", precision="fp32")]
    assert names == ["d-daiam-rt", "d-daiam-rt at half size", "untouched"]
