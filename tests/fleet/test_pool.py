"""The pool with workers that exist on paper alone."""

from collections import deque
from dataclasses import dataclass, field

import pytest

from rainclear.errors import DeviceError, InputError, StageError
from rainclear.fleet.plan import FleetTask
from rainclear.fleet.pool import Watch, WorkerLost, run_pool
from rainclear.fleet.worker import VERSION, Progress, WorkerInfo
from rainclear.runtime.jobs import JobReport

INFO = WorkerInfo(host="a", pid=1, device="cpu", version=VERSION)


def tasks(*sizes):
    return [FleetTask(source=f"in/{n}", output=f"out/{n}", bytes=n) for n in sizes]


class FakeHand:
    def __init__(self, crew, start):
        self.crew, self.outcome, self.task, self.gone = crew, start, None, False

    def give(self, task):
        self.task = task
        self.crew.given.append(task.bytes)
        outcomes = self.crew.outcomes.get(task.bytes)
        report = JobReport(input=task.source, output=task.output, frames=task.bytes)
        self.outcome = outcomes.popleft() if outcomes else report

    def result(self):
        if isinstance(self.outcome, WorkerLost):
            raise self.outcome
        return self.outcome

    def look(self):
        return self.crew.progress.popleft() if self.crew.progress else None

    def dismiss(self):
        self.gone = True


@dataclass
class FakeCrew:
    """``outcomes`` holds, by the size of a file, what its first attempts come to."""

    size: int = 2
    starts: list = field(default_factory=list)
    outcomes: dict[int, deque] = field(default_factory=dict)
    progress: deque = field(default_factory=deque)
    given: list[int] = field(default_factory=list)
    hired: list[FakeHand] = field(default_factory=list)
    closed: list | None = None

    def hire(self):
        hand = FakeHand(self, self.starts.pop(0) if self.starts else INFO)
        self.hired.append(hand)
        return hand

    def wait(self, hands, seconds):
        assert hands, "waiting for nobody"
        return list(hands[-1:])  # one at a time, and the last comes first

    def close(self, hands):
        self.closed = list(hands)


class Told:
    def __init__(self):
        self.started, self.done, self.lost, self.frames = [], {}, [], []

    def watch(self):
        def start(task, info):
            self.started.append(task.bytes)
            return lambda *given: self.frames.append((task.bytes, *given))

        return Watch(
            on_start=start,
            on_done=lambda task, result: self.done.setdefault(task.bytes, result),
            on_lost=lambda task, loss: self.lost.append(task.bytes),
        )


def run(crew, work, **options):
    told = Told()
    lost = run_pool(work, crew, watch=told.watch(), poll=0, **options)
    assert crew.closed is not None
    return told, lost


def test_large_files_first_and_no_more_workers_than_files():
    crew = FakeCrew(size=8)
    told, lost = run(crew, tasks(1, 3, 2))
    assert crew.given == told.started == [3, 2, 1] and lost == 0
    assert len(crew.hired) == 3 and crew.closed == crew.hired
    assert {size: report.frames for size, report in told.done.items()} == {1: 1, 2: 2, 3: 3}


def test_a_lost_workers_file_goes_to_a_new_one():
    crew = FakeCrew(outcomes={2: deque([WorkerLost("killed")])})
    told, lost = run(crew, tasks(1, 2, 3))
    assert told.lost == [2] and lost == 1
    assert sorted(crew.given) == [1, 2, 2, 3]
    assert all(isinstance(report, JobReport) for report in told.done.values())
    (gone,) = [hand for hand in crew.hired if hand.gone]
    assert len(crew.hired) == 3 and gone not in crew.closed


def test_a_file_that_costs_too_many_workers_is_given_up_and_the_rest_is_done():
    crew = FakeCrew(outcomes={2: deque([WorkerLost("out of memory")] * 5)})
    told, lost = run(crew, tasks(1, 2, 3), attempts=3)
    assert lost == 3 and crew.given.count(2) == 3 and told.lost == [2, 2]
    assert isinstance(told.done[2], StageError)
    assert str(told.done[2]) == (
        "in/2: 3 workers were lost while they derained it, the last: out of memory"
    )
    assert isinstance(told.done[1], JobReport) and isinstance(told.done[3], JobReport)


def test_the_last_worker_is_not_replaced_for_nothing():
    crew = FakeCrew(size=2, outcomes={2: deque([WorkerLost("killed")] * 3)})
    run(crew, tasks(2, 1), attempts=1)
    assert len(crew.hired) == 2


def test_errors_of_a_file_stop_nothing():
    crew = FakeCrew(outcomes={2: deque([InputError("in/2: is empty")])})
    told, lost = run(crew, tasks(1, 2, 3))
    assert isinstance(told.done[2], InputError) and len(told.done) == 3 and lost == 0


def test_workers_that_cannot_start_end_the_run():
    crew = FakeCrew(starts=[INFO, DeviceError("no GPU")])
    with pytest.raises(DeviceError, match="no GPU"):
        run(crew, tasks(1, 2))
    assert crew.closed == crew.hired


def test_workers_that_die_as_they_start_end_the_run():
    crew = FakeCrew(size=1, starts=[WorkerLost("no module named rainclear")] * 9)
    with pytest.raises(WorkerLost, match="3 workers died as they started, the last: no module"):
        run(crew, tasks(1, 2))
    assert len(crew.hired) == 3 and crew.closed == []


def test_one_that_dies_as_it_starts_is_replaced():
    told, lost = run(FakeCrew(size=1, starts=[WorkerLost("killed")]), tasks(1, 2))
    assert len(told.done) == 2 and lost == 1


def test_another_version_is_refused():
    other = WorkerInfo(host="b", pid=1, device="cpu", version="0.0.1")
    with pytest.raises(StageError, match=r"b has rainclear 0\.0\.1, this machine"):
        run(FakeCrew(starts=[other]), tasks(1))


def test_progress_is_that_of_the_file_and_runs_forwards():
    answers = [
        Progress(output="out/9", frames=7),  # of the file before
        Progress(output="out/2", frames=3, expected=5, score=0.5),
    ]
    crew = FakeCrew(size=1, progress=deque([answers[0]]))
    told, _ = run(crew, tasks(2))
    assert told.frames == []
    crew = FakeCrew(size=1, progress=deque([answers[1]]))
    told, _ = run(crew, tasks(2))
    assert told.frames == [(2, 3, 5, 0.5)]


def test_ctrl_c_closes_the_crew():
    crew = FakeCrew()

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pool(tasks(1, 2), crew, watch=Watch(on_done=interrupt), poll=0)
    assert crew.closed == crew.hired
