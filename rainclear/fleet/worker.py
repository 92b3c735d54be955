"""What one worker does: fetch a file, derain it, store the result."""

import importlib.metadata
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import torch

from rainclear.errors import RainclearError, StageError
from rainclear.fleet.plan import FleetTask
from rainclear.fleet.settings import FleetSettings
from rainclear.fleet.store import place
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.jobs import JobReport, derain_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["VERSION", "Progress", "Worker", "WorkerInfo"]

VERSION = importlib.metadata.version("rainclear")
"""Version of rainclear on this machine."""

_ROOM = "rainclear-fleet-"
_FRESH = 10.0  # seconds in which a room is left alone, whoever made it


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerInfo:
    """Where a worker is.

    Attributes:
        host: Name of the machine.
        pid: Its process.
        device: What the network runs on.
        version: The version of rainclear there.
    """

    host: str
    pid: int
    device: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a file is.

    Attributes:
        output: Where the file goes, which tells it from others.
        frames: Frames derained.
        expected: Frames expected, ``None`` if unknown.
        score: The last frame's rain score.
    """

    output: str = ""
    frames: int = 0
    expected: int | None = None
    score: float = 0.0


class _Stopped(RainclearError):
    """The worker was told to stop in the middle of a file."""


class Worker:
    """Holds the network and derains one file after the other.

    One thread calls :meth:`start` and :meth:`derain`; others may call :meth:`progress` and
    :meth:`stop` meanwhile.

    Args:
        settings: How files are derained.
        device: ``cpu`` or ``cuda``, the kind of device that this worker has its share of.
        threads: Processor threads for the network; ``None`` leaves PyTorch's own choice.
    """

    def __init__(
        self, settings: FleetSettings, *, device: str = "auto", threads: int | None = None
    ) -> None:
        self._settings, self._device, self._threads = settings, device, threads
        self._progress = Progress()
        self._stop = threading.Event()
        self._room: _Room | None = None

    def start(self) -> WorkerInfo | RainclearError:
        """Load the network; errors are returned, as what carries them here may wrap them."""
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            settings = self._settings
            self._room = _Room()
            folder = self._room.path / "model"
            folder.mkdir()
            for name, data in settings.model.files.items():
                (folder / name).write_bytes(data)
            self._derainer = Derainer(
                str(folder),
                device=self._device,
                precision=settings.precision,
                gate=settings.gate,
                backend="eager" if settings.backend == "auto" else settings.backend,
            )
        except RainclearError as error:
            return error
        return WorkerInfo(
            host=socket.gethostname(),
            pid=os.getpid(),
            device=str(self._derainer.device),
            version=VERSION,
        )

    def derain(self, task: FleetTask) -> JobReport | RainclearError:
        """Derain one file; what went wrong with it is returned, and the worker can go on."""
        self._progress = Progress(output=task.output)
        try:
            return self._derain(task)
        except RainclearError as error:
            return error
        except Exception as error:  # a file that nobody thought of must not end a fleet
            return StageError(f"{task.source}: {type(error).__name__}: {error}")

    def progress(self) -> Progress:
        """How far the file is that is being derained."""
        return self._progress

    def stop(self) -> None:
        """End soon, and leave no temporary file."""
        self._stop.set()
        if self._room is not None:
            self._room.close()

    def _derain(self, task: FleetTask) -> JobReport:
        assert self._room is not None, "start() comes first"
        source, output = place(task.source), place(task.output)
        settings = self._settings
        with self._room.use() as folder:
            marks = [time.perf_counter()]
            local = source.fetch(folder / f"in{Path(source.name).suffix}")
            marks.append(time.perf_counter())
            result = folder / f"out{Path(output.name).suffix}"
            try:
                report = derain_file(
                    local,
                    result,
                    derainer=self._derainer,
                    compare=settings.compare,
                    encode=settings.encode,
                    on_frame=self._on_frame,
                )
            except RainclearError as error:
                text = str(error).replace(str(local), task.source).replace(str(result), task.output)
                raise type(error)(text) from error
            marks.append(time.perf_counter())
            if self._stop.is_set():
                raise _Stopped(f"{task.source}: stopped")
            output.store(result)
            marks.append(time.perf_counter())
        stages = {
            "fetch": marks[1] - marks[0],
            **report.stage_seconds,
            "store": marks[3] - marks[2],
        }
        return replace(
            report,
            input=task.source,
            output=task.output,
            seconds=marks[3] - marks[0],
            stage_seconds=stages,
        )

    def _on_frame(self, done: int, expected: int | None, score: float) -> None:
        self._progress = replace(self._progress, frames=done, expected=expected, score=score)
        if self._stop.is_set():
            raise _Stopped("stopped")


class _Room:
    """A temporary folder that is locked while its worker lives.

    What killed workers left is removed when the next one on the machine makes its own.
    """

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_ROOM))
        self._lock: IO[bytes] = (self.path / "lock").open("wb")
        _try_lock(self._lock)
        self._busy = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[Path]:
        """A folder within for one file."""
        with self._busy, tempfile.TemporaryDirectory(dir=self.path) as name:
            yield Path(name)

    def close(self) -> None:
        """Remove it, once the file in it is done."""
        with self._busy:
            self._lock.close()
            shutil.rmtree(self.path, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for room in folder.glob(f"{_ROOM}*"):
        with suppress(OSError):
            if time.time() - room.stat().st_mtime < _FRESH:
                continue  # it may be about to be locked
            with (room / "lock").open("rb") as lock:
                if _try_lock(lock):
                    shutil.rmtree(room, ignore_errors=True)


def _try_lock(file: IO[bytes]) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
