"""Hands files to workers, and again to others when a worker is lost. Knows no engine."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from rainclear.errors import RainclearError, StageError
from rainclear.fleet.plan import FleetTask
from rainclear.fleet.worker import VERSION, Progress, WorkerInfo
from rainclear.runtime.jobs import JobReport, OnFrame

__all__ = ["Crew", "Hand", "Watch", "WorkerLost", "run_pool"]

_PAUSE_EACH = 0.005  # seconds between two looks, for each worker


class WorkerLost(StageError):
    """A worker or its machine is gone, and with it what it was doing."""


class Hand(Protocol):
    """One worker somewhere. It is starting, busy or idle; nothing here waits."""

    def give(self, task: FleetTask) -> None:
        """Begin a file."""

    def result(self) -> WorkerInfo | JobReport | RainclearError:
        """What starting, or the last file, came to, once the crew says that it has ended.

        Raises:
            WorkerLost: The worker is gone.
        """

    def look(self) -> Progress | None:
        """The newest known progress of the file, ``None`` if there is none."""

    def dismiss(self) -> None:
        """End the worker at once."""


class Crew(Protocol):
    """What an engine is to the pool.

    Attributes:
        size: Workers that there is room for, at least 1.
    """

    size: int

    def hire(self) -> Hand:
        """Begin to start a worker."""

    def wait(self, hands: Sequence[Hand], seconds: float) -> list[Hand]:
        """Those of ``hands`` that have ended what they were doing, as soon as there is one."""

    def close(self, hands: Sequence[Hand]) -> None:
        """Stop all of them; files that they are at are given up."""


@dataclass(kw_only=True, slots=True)
class Watch:
    """What is called as a fleet goes on, in the thread that started it.

    Attributes:
        on_start: A worker begins a file; returns what is called as its frames are done.
        on_done: A file ended, with its report or its error.
        on_lost: A worker was lost, and the file will be derained by another.
    """

    on_start: Callable[[FleetTask, WorkerInfo], OnFrame] | None = None
    on_done: Callable[[FleetTask, JobReport | RainclearError], None] | None = None
    on_lost: Callable[[FleetTask, WorkerLost], None] | None = None


@dataclass(kw_only=True, slots=True)
class _Seat:
    """A hand and what is known of it."""

    hand: Hand
    info: WorkerInfo | None = None
    task: FleetTask | None = None
    on_frame: OnFrame | None = None
    seen: Progress = field(default_factory=Progress)


def run_pool(
    tasks: Sequence[FleetTask],
    crew: Crew,
    *,
    watch: Watch,
    attempts: int = 3,
    poll: float = 0.25,
) -> int:
    """Derain all files; a file whose worker is lost begins anew with another worker.

    Large files go first, so that none of them is left when the others are done.

    Args:
        tasks: Files.
        crew: The engine.
        watch: Told of every file.
        attempts: Workers that a file may cost before it is given up as the reason.
        poll: Seconds between two looks at the progress; more where there are many workers.

    Returns:
        Number of workers that were lost.

    Raises:
        RainclearError: A worker cannot start: no such device, another version of rainclear.
        WorkerLost: Workers die before their first file.
    """
    waiting = deque(sorted(tasks, key=lambda task: -task.bytes))
    tries: Counter[str] = Counter()
    seats = [_Seat(hand=crew.hire()) for _ in range(min(crew.size, len(tasks)))]
    # Asking a thousand workers four times a second would keep this process busy.
    pause, looked = max(poll, _PAUSE_EACH * len(seats)), 0.0
    lost = stillborn = 0
    try:
        while waiting or any(seat.task for seat in seats):
            active = {id(s.hand): s for s in seats if s.task is not None or s.info is None}
            for hand in crew.wait([seat.hand for seat in active.values()], poll):
                seat = active[id(hand)]
                try:
                    result = hand.result()
                except WorkerLost as loss:
                    lost += 1
                    seats.remove(seat)
                    hand.dismiss()
                    if seat.info is None:
                        stillborn += 1
                        if stillborn >= attempts:
                            told = f"{attempts} workers died as they started, the last: {loss}"
                            raise WorkerLost(told) from loss
                    elif seat.task is not None:
                        tries[seat.task.output] += 1
                        if tries[seat.task.output] < attempts:
                            waiting.appendleft(seat.task)
                            _call(watch.on_lost, seat.task, loss)
                        else:
                            _call(watch.on_done, seat.task, _given_up(seat.task, attempts, loss))
                    if len(seats) < len(waiting) + sum(s.task is not None for s in seats):
                        seats.append(_Seat(hand=crew.hire()))
                    continue
                if seat.info is None:
                    seat.info = _checked(result)
                    stillborn = 0
                elif seat.task is not None and not isinstance(result, WorkerInfo):
                    _call(watch.on_done, seat.task, result)
                    seat.task = None
            for seat in seats:
                if seat.info is not None and seat.task is None and waiting:
                    _begin(seat, waiting.popleft(), watch)
            if monotonic() - looked >= pause:
                looked = monotonic()
                for seat in seats:
                    _look(seat)
    finally:
        crew.close([seat.hand for seat in seats])
    return lost


def _begin(seat: _Seat, task: FleetTask, watch: Watch) -> None:
    assert seat.info is not None
    seat.task, seat.seen = task, Progress()
    seat.on_frame = watch.on_start(task, seat.info) if watch.on_start else None
    seat.hand.give(task)


def _look(seat: _Seat) -> None:
    if seat.task is None or seat.on_frame is None:
        return
    progress = seat.hand.look()
    # An answer may still be about the file before.
    about_this = progress is not None and progress.output == seat.task.output
    if progress is not None and about_this and progress.frames > seat.seen.frames:
        seat.seen = progress
        seat.on_frame(progress.frames, progress.expected, progress.score)


def _checked(result: WorkerInfo | JobReport | RainclearError) -> WorkerInfo:
    if isinstance(result, RainclearError):
        raise result
    assert isinstance(result, WorkerInfo)
    if result.version != VERSION:
        raise StageError(
            f"{result.host} has rainclear {result.version}, this machine {VERSION}; install "
            "the same version on all of them"
        )
    return result


def _given_up(task: FleetTask, attempts: int, loss: WorkerLost) -> StageError:
    return StageError(
        f"{task.source}: {attempts} workers were lost while they derained it, the last: {loss}"
    )


def _call(function: Callable[..., None] | None, *arguments: object) -> None:
    if function is not None:
        function(*arguments)
