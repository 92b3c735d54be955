"""The forecast of speed: overlap with enough slots, none with one."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainclear.runtime.simulate import Costs, simulate

COPY = st.floats(0.5, 10)


@settings(max_examples=40, deadline=None)
@given(upload=COPY, compute=COPY, download=COPY, slots=st.integers(3, 5))
def test_three_slots_run_at_the_speed_of_the_slowest_lane(upload, compute, download, slots):
    costs = Costs(upload=upload, compute=compute, download=download)
    forecast = simulate(costs, slots=slots)
    assert forecast.fps == pytest.approx(1 / costs.slowest, rel=0.05)


@settings(max_examples=30, deadline=None)
@given(upload=COPY, compute=COPY, download=COPY)
def test_one_slot_is_serial(upload, compute, download):
    forecast = simulate(Costs(upload=upload, compute=compute, download=download), slots=1)
    assert forecast.fps == pytest.approx(1 / (upload + compute + download), rel=1e-6)


def test_two_slots_lie_between():
    forecast = simulate(Costs(upload=2, compute=2, download=2), slots=2)
    assert forecast.fps == pytest.approx(2 / 6, rel=0.05)


def test_the_host_is_a_lane_too():
    costs = Costs(upload=1, compute=2, download=1, fill=2, empty=3)
    assert costs.slowest == 5
    assert simulate(costs).fps == pytest.approx(1 / 5, rel=0.05)


def test_a_slow_tap_sets_the_pace():
    costs = Costs(upload=1, compute=2, download=1, tap=4)
    assert simulate(costs, slots=4).fps == pytest.approx(1 / 4, rel=0.05)


def test_one_frame_ahead_has_the_least_latency():
    costs = Costs(upload=1, compute=5, download=1, fill=0.25, empty=0.25)
    assert simulate(costs, ahead=1).latency == pytest.approx(7.5)
    assert simulate(costs).latency > 15


def test_the_busy_lane_is_the_slowest():
    busy = simulate(Costs(upload=1, compute=5, download=2)).busy
    assert busy["compute"] > 0.95
    assert busy["upload"] == pytest.approx(0.2, abs=0.02)


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="at least 8"):
        simulate(Costs(upload=1, compute=1, download=1), frames=7)
    assert asdict(Costs(upload=1, compute=1, download=1))["fill"] == 0
