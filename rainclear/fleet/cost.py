"""What deraining an archive costs, on paper: hours and machines from measured throughput.

``python -m rainclear.fleet.cost --report fleet.json --volume 1PB --workers 8`` takes what it can
from the report of a run over a sample of the footage (``rainclear derain --engine ... --report``).
"""

import argparse
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rainclear.errors import ConfigError, InputError, RainclearError

__all__ = ["Cost", "Footage", "Machine", "Speed", "cost", "from_report", "main", "number"]

_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?) ?([kMGTP]?)(?:B|B/s|bit/s)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Footage:
    """What there is to derain.

    Attributes:
        bytes: All of it, V.
        bytes_per_frame: v; a bit rate in bit/s divided by 8 and by the frame rate.
        bytes_per_file: u.
        growth: Size of the result as a multiple of the source, q.
    """

    bytes: float = 1e15
    bytes_per_frame: float
    bytes_per_file: float = 1e9
    growth: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What was measured.

    Attributes:
        frames_per_second: Of one worker with a machine for itself: decoding, network and
            encoding, f.
        seconds_per_file: Of a worker's time that goes into no frame: opening, hand-over, o.
        scaling: Speed of a full machine as a share of workers × f, η.
    """

    frames_per_second: float
    seconds_per_file: float = 0.0
    scaling: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a machine brings.

    Attributes:
        workers: Workers on it, w.
        bytes_per_second: Its share of the way to the storage, reading and writing together, B.
        price: Of one hour, in any currency.
    """

    workers: int = 1
    bytes_per_second: float = 1.25e9
    price: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What it comes to; times are in hours of one machine."""

    frames: float
    files: float
    work_hours: float
    transfer_hours: float
    price: float

    @property
    def machine_hours(self) -> float:
        """All hours of one machine."""
        return self.work_hours + self.transfer_hours

    def hours(self, machines: int) -> float:
        """Hours until ``machines`` are done."""
        return self.machine_hours / machines

    def machines(self, hours: float) -> int:
        """Machines that are done within ``hours``."""
        return math.ceil(self.machine_hours / hours)


def cost(footage: Footage, speed: Speed, machine: Machine) -> Cost:
    """Hours of one machine: (F/f + K·o) / (w·η) + V·(1 + q) / B, with F = V/v and K = V/u.

    A worker waits while its file travels, so transfers add to the work. Starting machines, and
    the last files that leave some of them idle, are not in it.
    """
    frames = footage.bytes / footage.bytes_per_frame
    files = footage.bytes / footage.bytes_per_file
    worker_seconds = frames / speed.frames_per_second + files * speed.seconds_per_file
    work = worker_seconds / (machine.workers * speed.scaling) / 3600
    transfer = footage.bytes * (1 + footage.growth) / machine.bytes_per_second / 3600
    return Cost(
        frames=frames,
        files=files,
        work_hours=work,
        transfer_hours=transfer,
        price=(work + transfer) * machine.price,
    )


def from_report(report: dict[str, Any]) -> tuple[Footage, Speed]:
    """Footage and speed as a fleet's report tells of them; ``bytes`` stays 1 PB.

    The speed is that of a worker among the run's others: leave ``scaling`` at 1 if machines are to
    be as full as in that run.

    Raises:
        InputError: It is no report of a fleet, or of one that derained nothing.
    """
    try:
        frames, files, read = report["frames"], len(report["files"]), report["bytes"]
        busy, stages = report["worker_seconds"], report["stage_seconds"]
        derained = busy - stages["fetch"] - stages["store"]
        rest = report["seconds"] * report["workers"] - busy
        return (
            Footage(bytes_per_frame=read / frames, bytes_per_file=read / files),
            Speed(frames_per_second=frames / derained, seconds_per_file=max(0.0, rest) / files),
        )
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise InputError(
            "no report of a fleet that derained something; write one with rainclear derain "
            "--engine ray --report FILE.json"
        ) from error


def number(text: str) -> float:
    """``1PB``, ``8Mbit/s`` or ``250`` as a number, with decimal prefixes.

    Raises:
        ConfigError: It is no such number.
    """
    found = _NUMBER.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise ConfigError(f"{text!r} is no size; write 1PB, 250MB or 8Mbit/s")
    return float(found[1]) * _PREFIXES[found[2]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the estimate and all of its inputs."""
    parser = argparse.ArgumentParser(prog="rainclear.fleet.cost", description=cost.__doc__)
    parser.add_argument("--report", type=Path, help="report of a run over a sample")
    parser.add_argument("--volume", default="1PB", help="footage, V")
    parser.add_argument("--bitrate", help="of the footage, such as 8Mbit/s")
    parser.add_argument("--fps", type=float, default=30.0, help="of the footage, with --bitrate")
    parser.add_argument("--file", help="mean size of a file, u")
    parser.add_argument("--growth", type=float, default=1.0, help="size of results, q")
    parser.add_argument("--frames-per-second", type=float, help="of one worker, f")
    parser.add_argument("--seconds-per-file", type=float, help="o")
    parser.add_argument("--scaling", type=float, default=1.0, help="η, 0..1")
    parser.add_argument("--workers", type=int, default=1, help="on each machine, w")
    parser.add_argument("--network", default="1.25GB/s", help="of each machine, B")
    parser.add_argument("--price", type=float, default=0.0, help="of a machine's hour")
    given = parser.parse_args(arguments)
    try:
        footage, speed = _inputs(given)
        network = number(given.network)
    except RainclearError as error:
        parser.error(str(error))
    machine = Machine(workers=given.workers, bytes_per_second=network, price=given.price)
    print(table(footage, speed, machine))


def table(footage: Footage, speed: Speed, machine: Machine) -> str:
    """Inputs and results, one a line."""
    result = cost(footage, speed, machine)
    rows = [
        ("footage", f"{footage.bytes:.3g} bytes"),
        ("a frame, a file", f"{footage.bytes_per_frame:.3g}, {footage.bytes_per_file:.3g} bytes"),
        ("one worker", f"{speed.frames_per_second:.4g} frames/s"),
        ("apart from frames", f"{speed.seconds_per_file:.3g} s a file"),
        ("a machine", f"{machine.workers} workers at {speed.scaling:.0%} of their speed"),
        ("its network", f"{machine.bytes_per_second:.3g} bytes/s"),
        ("frames, files", f"{result.frames:.3g}, {result.files:.3g}"),
        ("machine hours", f"{result.machine_hours:,.0f}"),
        ("of them transfer", f"{result.transfer_hours:,.0f}"),
        *((f"hours on {count:,}", f"{result.hours(count):,.1f}") for count in (10, 100, 1000)),
        ("machines for 1 week", f"{result.machines(168):,}"),
        ("price", f"{result.price:,.0f}" if machine.price else "not given"),
    ]
    return "\n".join(f"{name:<20} {value}" for name, value in rows)


def _inputs(given: argparse.Namespace) -> tuple[Footage, Speed]:
    if given.report is not None:
        try:
            footage, speed = from_report(json.loads(given.report.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{given.report}: cannot be read: {error}") from error
    elif given.bitrate and given.frames_per_second:
        footage, speed = Footage(bytes_per_frame=1), Speed(frames_per_second=1)
    else:
        raise ConfigError("give --report, or --bitrate and --frames-per-second")
    if given.bitrate:
        footage = replace(footage, bytes_per_frame=number(given.bitrate) / 8 / given.fps)
    if given.file:
        footage = replace(footage, bytes_per_file=number(given.file))
    footage = replace(footage, bytes=number(given.volume), growth=given.growth)
    if given.frames_per_second:
        speed = replace(speed, frames_per_second=given.frames_per_second)
    if given.seconds_per_file is not None:
        speed = replace(speed, seconds_per_file=given.seconds_per_file)
    return footage, replace(speed, scaling=given.scaling)


if __name__ == "__main__":
    main()
