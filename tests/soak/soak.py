"""Derains one long, small video and watches memory, threads and file handles.

Run by ``make soak``. Decoder, network and encoder work as in ``rainclear derain``. After the
warm-up the resident memory must not rise by more than 3 %, and there must be no thread or file
handle more, neither on the way nor at the end.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from rainclear.frame import Frame
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.jobs import EncodeOptions, JobReport, derain_video
from rainclear.video import VideoInfo, VideoWriter

FLAT = 0.03
"""Share by which the memory may rise."""
SAMPLES = 400


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the process holds at one moment: resident MiB, threads, file handles."""

    rss: float
    threads: int
    handles: int


def sample() -> Sample:
    """Ask the kernel about this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        rss=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        threads=len(os.listdir("/proc/self/task")),
        # Listing them opens one.
        handles=len(os.listdir("/proc/self/fd")) - 1,
    )


@dataclass(kw_only=True)
class Verdict:
    """What was seen.

    Attributes:
        frames: Frames derained.
        fps: Frames a second.
        rss: MiB after the warm-up.
        rise: Largest rise of the memory after it, as a share.
        threads: Threads more than after the warm-up, at most.
        handles: File handles more than after the warm-up, at most.
        threads_left: Threads more after the job than before it.
        handles_left: File handles more after the job than before it.
        faults: One line for each thing that grew.
    """

    frames: int = 0
    fps: float = 0.0
    rss: float = 0.0
    rise: float = 0.0
    threads: int = 0
    handles: int = 0
    threads_left: int = 0
    handles_left: int = 0
    faults: list[str] = field(default_factory=list)


def judge(seen: list[Sample], before: Sample, after: Sample, report: JobReport) -> Verdict:
    """Compare all samples to those of the second tenth of the job."""
    tenth = max(1, len(seen) // 10)
    warm, rest = seen[tenth : 2 * tenth], seen[2 * tenth :]
    base = statistics.median(s.rss for s in warm)
    verdict = Verdict(
        frames=report.frames,
        fps=report.fps,
        rss=base,
        rise=max(s.rss for s in rest) / base - 1,
        threads=max(s.threads for s in rest) - max(s.threads for s in warm),
        handles=max(s.handles for s in rest) - max(s.handles for s in warm),
        threads_left=after.threads - before.threads,
        handles_left=after.handles - before.handles,
    )
    if verdict.rise > FLAT:
        verdict.faults.append(f"the memory rose by {verdict.rise:.1%}")
    for what in ("threads", "handles", "threads_left", "handles_left"):
        if (more := getattr(verdict, what)) > 0:
            verdict.faults.append(f"{what.replace('_', ' ')}: {more} more")
    return verdict


def write_clip(path: Path, *, width: int, height: int, frames: int) -> None:
    """A noisy picture that moves, so that every stage has something to do."""
    wide = np.random.default_rng(0).integers(0, 255, (height, 2 * width, 3), np.uint8)
    info = VideoInfo(
        path=Path(), width=width, height=height, time_base=Fraction(1, 25), rate=Fraction(25)
    )
    with VideoWriter(path, template=info, preset="ultrafast", keep_streams=False) as writer:
        for n in range(frames):
            x = n % width
            pixels = np.ascontiguousarray(wide[:, x : x + width])
            writer.write(Frame(pixels=pixels, pts=n, time_base=Fraction(1, 25), index=n))


def soak(folder: Path, *, frames: int, width: int, height: int, derainer: Derainer) -> Verdict:
    """Derain a clip of ``frames`` frames, after a short one that loads what is loaded once."""
    encode = EncodeOptions(preset="ultrafast")
    for name, length in (("short.mp4", 40), ("long.mp4", frames)):
        write_clip(folder / name, width=width, height=height, frames=length)
    derain_video(folder / "short.mp4", folder / "out.mp4", derainer=derainer, encode=encode)
    seen: list[Sample] = []
    every = max(1, frames // SAMPLES)

    def on_frame(done: int, _total: int | None, _score: float) -> None:
        if done % every == 0:
            seen.append(sample())

    before = sample()
    report = derain_video(
        folder / "long.mp4",
        folder / "out.mp4",
        derainer=derainer,
        encode=encode,
        overwrite=True,
        on_frame=on_frame,
    )
    time.sleep(0.1)  # for threads on their way out
    return judge(seen, before, sample(), report)


def main() -> int:
    """Print the verdict; 1 if something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--size", default="64x48")
    parser.add_argument("--model", default="d-daiam-rt")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="eager")
    parser.add_argument("--json", type=Path, help="write the figures into a file, too")
    options = parser.parse_args()
    width, height = (int(v) for v in options.size.split("x"))
    derainer = Derainer(options.model, device=options.device, backend=options.backend)
    with tempfile.TemporaryDirectory() as name:
        verdict = soak(
            Path(name), frames=options.frames, width=width, height=height, derainer=derainer
        )
    if options.json:
        options.json.write_text(json.dumps(asdict(verdict), indent=2) + "\n", encoding="utf-8")
    print(
        f"{verdict.frames} frames of {options.size} by {options.model}, {verdict.fps:.0f} fps: "
        f"{verdict.rss:.0f} MiB after the warm-up, at most {verdict.rise:+.2%} later; "
        f"threads {verdict.threads:+d}, file handles {verdict.handles:+d} on the way, "
        f"{verdict.threads_left:+d} and {verdict.handles_left:+d} at the end"
    )
    for fault in verdict.faults:
        print(fault, file=sys.stderr)
    return int(bool(verdict.faults))


if __name__ == "__main__":
    sys.exit(main())
