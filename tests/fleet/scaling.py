"""What a second worker brings, and what the engine costs for each file.

Run it on a machine with nothing else to do. With n workers n cores are used, so that one worker
does not decode and encode on the cores of the second.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from rainclear.bench.clip import write_clip
from rainclear.fleet.plan import FleetTask, plan_fleet
from rainclear.fleet.pool import Watch
from rainclear.fleet.ray_crew import RayCrew
from rainclear.fleet.run import derain_fleet, run_plan
from rainclear.fleet.settings import FleetSettings, ModelFiles
from rainclear.fleet.worker import WorkerInfo
from rainclear.runtime.jobs import EncodeOptions


def clips(folder: Path, count: int, *, size: tuple[int, int], frames: int) -> Path:
    """A folder with ``count`` copies of one rainy clip of ``size`` (height, width)."""
    folder.mkdir()
    first = folder / "0000.mp4"
    write_clip(first, size, frames)
    for number in range(1, count):
        (folder / f"{number:04}.mp4").write_bytes(first.read_bytes())
    return folder


def use_cores(count: int) -> None:
    """Keep to ``count`` cores, and whatever is started from here as well."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(ALL_CORES)[:count])


def fleet(source: Path, output: Path, settings: FleetSettings, workers: int) -> dict[str, float]:
    """Figures of a run with ``workers``."""
    use_cores(workers)
    begun = time.perf_counter()
    with RayCrew(settings, workers=workers, cpus=workers) as crew:
        hand = crew.hire()
        while not crew.wait([hand], 1.0):
            pass
        hand.result()
        ready = time.perf_counter() - begun
        calls = []
        for _ in range(50):
            begun = time.perf_counter()
            crew._ray.get(hand.actor.progress.remote())
            calls.append(time.perf_counter() - begun)
        crew.close([hand])
        plan = plan_fleet([str(source)], str(output), settings)
        begun = time.perf_counter()
        starts: list[float] = []

        def on_start(task: FleetTask, info: WorkerInfo) -> None:
            starts.append(time.perf_counter())

        report = run_plan(plan, crew, watch=Watch(on_start=on_start), poll=0.05)
    assert not report.failed and not report.lost, report
    # The start of the workers is told apart: it is the same for three files and for a million.
    seconds = report.seconds - (starts[0] - begun)
    busy = sum(done.seconds for done in report.done)
    return {
        "seconds": seconds,
        "fps": report.frames / seconds,
        "idle_seconds_per_file": max(0.0, seconds * report.workers - busy) / len(report.done),
        "cluster_and_first_worker_seconds": ready,
        "call_ms": 1000 * statistics.median(calls),
    }


ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}


def main() -> None:
    """Print the figures, or write them with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="d-daiam-rt")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--frames", type=int, default=100, help="of each file")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--small-files", type=int, default=40, help="of three tiny frames each")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    settings = FleetSettings(
        model=ModelFiles.read(given.model), device="cpu", precision="fp32", encode=EncodeOptions()
    )
    figures: dict[str, object] = {"files": given.files, "frames": given.frames, "size": given.size}
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        source = clips(room / "in", given.files, size=(height, width), frames=given.frames)
        seconds = {}
        for workers in given.workers:
            run = fleet(source, room / f"out{workers}", settings, workers)
            figures[f"workers_{workers}"], seconds[workers] = run, run["seconds"]
        use_cores(1)
        torch.set_num_threads(1)
        here = derain_fleet([str(source)], str(room / "here"), settings, engine="local")
        figures["one_process_seconds"] = here.seconds
        small = clips(room / "small", given.small_files, size=(48, 64), frames=3)
        run = fleet(small, room / "small-out", settings, 1)
        figures["engine_ms_per_file"] = 1000 * run["idle_seconds_per_file"]
    first = given.workers[0]
    for workers in given.workers[1:]:
        figures[f"ratio_{first}_to_{workers}"] = seconds[first] / seconds[workers]
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
