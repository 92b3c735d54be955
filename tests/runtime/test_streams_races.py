"""The recorded schedule has no race, and each of its waits is needed."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.cuda._sanitizer import EventHandler

from rainclear.frame import Frame
from rainclear.runtime.recording import (
    HOST,
    HostWait,
    Launch,
    Operation,
    Record,
    RecordingBackend,
    Wait,
)
from rainclear.runtime.streams import DevicePipeline

SLOTS = st.integers(1, 5)
PARTS = ("fill", "upload", "compute", "download", "tap", "empty")


class Invert:
    """A stage with a memory: the last bit tells whether the frame's number is odd."""

    def __init__(self):
        self.memory = torch.zeros(1, dtype=torch.uint8)

    @property
    def resident(self):
        return (self.memory,)

    def reset(self):
        self.memory.zero_()

    def __call__(self, source, result, score):
        result.copy_(255 - source)
        score.copy_(source.float().mean())
        self.memory.add_(1)


def frames(count: int, height: int = 2) -> list[Frame]:
    return [Frame(pixels=np.full((height, 2, 3), n, np.uint8), index=n) for n in range(count)]


def recorded(*, slots, count=12, seconds=None, tap=False, ahead=None) -> RecordingBackend:
    backend = RecordingBackend(seconds)
    seen: list[torch.Tensor] = []
    pipeline = DevicePipeline(
        Invert(), backend, slots=slots, ahead=ahead, tap=seen.append if tap else None
    )
    out = list(pipeline.stream(frames(count)))
    assert [int(f.pixels[0, 0, 0]) for f in out] == [255 - n for n in range(count)]
    assert [f.metadata["rain_score"] for f in out] == list(range(count))
    return backend


def races(log: Sequence[Operation], lanes: Sequence[str]) -> list[str]:
    """Replay a schedule through PyTorch's CUDA sanitizer.

    The host is a stream of its own. What it does is over before the next call, so every stream is
    told of it, as CUDA promises for work that is launched afterwards.
    """
    handler = EventHandler()
    streams = {name: number for number, name in enumerate((HOST, *lanes), 1)}
    events: dict[str, int] = {}
    for stream in streams.values():
        handler._handle_stream_creation(stream)
    errors = []
    for op in log:
        match op:
            case Launch():
                pointers = set(op.reads) | set(op.writes)
                errors += handler._handle_kernel_launch(
                    streams[op.lane],
                    set(op.reads) - set(op.writes),
                    set(op.writes),
                    set(),
                    op.name,
                    {pointer: [op.name] for pointer in pointers},
                )
                if op.lane == HOST:
                    handler._handle_event_record(0, streams[HOST])
                    handler._handle_event_synchronization(0)
            case Record():
                event = events.setdefault(op.event, len(events) + 1)
                handler._handle_event_record(event, streams[op.lane])
            case Wait():
                handler._handle_event_wait(events[op.event], streams[op.lane])
            case HostWait():
                handler._handle_event_synchronization(events[op.event])
    return [f"{e.current_access.operator} / {e.previous_access.operator}" for e in errors]


def overlaps(log: Sequence[Operation]) -> list[tuple[str, str]]:
    """Pairs of launches that use the same memory at the same time by the simulated clock."""
    work = [op for op in log if isinstance(op, Launch) and op.end > op.start]
    found = []
    for n, a in enumerate(work):
        for b in work[n + 1 :]:
            shared = set(a.writes) & {*b.reads, *b.writes} or set(a.reads) & set(b.writes)
            if shared and a.start < b.end and b.start < a.end:
                found.append((a.name, b.name))
    return found


def times(shortest: float) -> st.SearchStrategy:
    """One duration for all frames, or another for each of a few."""
    one = st.floats(shortest, 10)
    return one | st.lists(one, min_size=2, max_size=7)


durations = st.fixed_dictionaries({name: times(0) for name in PARTS})
lane_durations = st.fixed_dictionaries(
    {name: times(0.01) for name in ("upload", "compute", "download", "tap")}
)


@settings(max_examples=40, deadline=None)
@given(slots=SLOTS, seconds=durations, tap=st.booleans(), ahead=st.none() | st.integers(1, 7))
def test_no_race_whatever_the_durations(slots, seconds, tap, ahead):
    backend = recorded(slots=slots, seconds=seconds, tap=tap, ahead=ahead)
    assert races(backend.log, backend.lanes) == []
    assert overlaps(backend.log) == []


@settings(max_examples=60, deadline=None)
@given(slots=SLOTS, seconds=lane_durations, tap=st.booleans(), data=st.data())
def test_without_any_one_wait_there_is_a_race(slots, seconds, tap, data):
    backend = recorded(slots=slots, seconds=seconds, tap=tap)
    waits = [n for n, op in enumerate(backend.log) if isinstance(op, Wait | HostWait)]
    removed = data.draw(st.sampled_from(waits))
    broken = backend.log[:removed] + backend.log[removed + 1 :]
    assert races(broken, backend.lanes), f"{backend.log[removed]} is not needed"


@pytest.mark.parametrize("slots", range(1, 6))
@pytest.mark.parametrize("tap", [False, True])
def test_without_each_wait_in_turn_there_is_a_race(slots, tap):
    backend = recorded(slots=slots, count=8, tap=tap, seconds=dict.fromkeys(PARTS[1:5], 1.0))
    waits = [n for n, op in enumerate(backend.log) if isinstance(op, Wait | HostWait)]
    # Compute, download and host for each frame, upload from the second round on; both for a tap.
    assert len(waits) == 3 * 8 + (8 - slots) + tap * (8 + 8 - slots)
    for n in waits:
        assert races(backend.log[:n] + backend.log[n + 1 :], backend.lanes), backend.log[n]


def test_a_race_also_shows_in_time():
    """The second judge, which knows durations, sees what the first one reports."""

    class Deaf(RecordingBackend):
        def wait(self, event, lane):
            if lane != "upload":
                super().wait(event, lane)

    backend = Deaf({"upload": 1.0, "compute": 5.0, "download": 1.0})
    list(DevicePipeline(Invert(), backend, slots=2).stream(frames(8)))
    assert races(backend.log, backend.lanes)
    assert ("compute", "upload") in overlaps(backend.log)


@pytest.mark.parametrize("leave_at", [1, 3, 6])
def test_leaving_early_and_starting_again_has_no_race(leave_at):
    backend = RecordingBackend({"upload": 1.0, "compute": 5.0, "download": 1.0, "tap": 9.0})
    pipeline = DevicePipeline(Invert(), backend, slots=2, tap=lambda _: None)
    results = pipeline.stream(frames(9))
    for _ in range(leave_at):
        next(results)
    results.close()
    assert [f.index for f in pipeline.stream(frames(7))] == list(range(7))
    assert races(backend.log, backend.lanes) == []


def test_after_a_failure_the_next_stream_has_no_race():
    backend = RecordingBackend({"upload": 4.0, "compute": 1.0, "download": 1.0})
    stage = Invert()
    pipeline = DevicePipeline(stage, backend, slots=2)

    def broken():
        yield from frames(3)
        raise RuntimeError("camera gone")

    with pytest.raises(RuntimeError, match="camera gone"):
        list(pipeline.stream(broken()))
    assert len(list(pipeline.stream(frames(9)))) == 9
    assert races(backend.log, backend.lanes) == []


def test_a_change_of_size_has_no_race():
    backend = RecordingBackend({"upload": 1.0, "compute": 2.0, "download": 1.0, "tap": 30.0})
    pipeline = DevicePipeline(Invert(), backend, slots=3, tap=lambda _: None)
    mixed = frames(5) + frames(5, height=4) + frames(5)
    out = list(pipeline.stream(mixed))
    assert [f.pixels.shape[0] for f in out] == [2] * 5 + [4] * 5 + [2] * 5
    assert races(backend.log, backend.lanes) == []
    assert overlaps(backend.log) == []
