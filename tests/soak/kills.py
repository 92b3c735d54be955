"""Kills ``rainclear derain`` without warning at random moments and runs the same command again.

Run by ``make soak``. A killed job must not leave a file under the output's name, and the next run
of the command must give every frame and time stamp as one that nobody disturbed.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rainclear.frame import Frame
from rainclear.video import VideoInfo, VideoWriter

MAIN = "from rainclear.cli.app import main; main()"


def write_clip(path: Path, *, frames: int) -> None:
    """A moving picture of 64×48."""
    info = VideoInfo(path=Path(), width=64, height=48, time_base=Fraction(1, 25))
    wide = np.random.default_rng(0).integers(30, 220, (48, 64 + frames, 3), np.uint8)
    with VideoWriter(path, template=info, preset="ultrafast", keep_streams=False) as writer:
        for n in range(frames):
            pixels = np.ascontiguousarray(wide[:, n : n + 64])
            writer.write(Frame(pixels=pixels, pts=n, time_base=Fraction(1, 25), index=n))


def frames_of(path: Path) -> list[tuple[Fraction, str]]:
    """Time and hash of every frame."""
    with av.open(str(path)) as video:
        return [
            (frame.pts * frame.time_base, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest())
            for frame in video.decode(video=0)
        ]


def start(source: Path, output: Path, extra: list[str]) -> "subprocess.Popen[bytes]":
    """The command, as a process."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "derain", str(source), "-o", str(output), *extra],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(source: Path, output: Path, extra: list[str]) -> float:
    """Run the command to its end; the seconds that it took."""
    begun = time.monotonic()
    if code := start(source, output, extra).wait():
        raise AssertionError(f"derain ended with {code}")
    return time.monotonic() - begun


def partials(folder: Path) -> list[Path]:
    """Files that a job is writing or was, and that have no name yet."""
    return list(folder.glob(".*.partial-*"))


def kill_once(source: Path, output: Path, extra: list[str], *, chance: random.Random) -> str:
    """Kill a run while it writes its output, if it is not faster; when that was."""
    process = start(source, output, extra)
    begun = time.monotonic()
    while process.poll() is None and not partials(output.parent) and not output.exists():
        time.sleep(0.005)
    writing = time.monotonic()
    time.sleep(chance.uniform(0.0, 1.0) ** 2)
    process.kill()
    process.wait()
    return f"{writing - begun:.1f} s + {time.monotonic() - writing:.2f} s"


def rounds(
    folder: Path, kills: int, *, frames: int = 400, seed: int = 0, extra: list[str] | None = None
) -> list[str]:
    """Kill and run again, ``kills`` times; one line for each.

    Raises:
        AssertionError: A killed job left something under the output's name, or the next run gave
            other frames.
    """
    extra = ["--device", "cpu", "--backend", "eager", *(extra or [])]
    source, chance, lines = folder / "in.mp4", random.Random(seed), []
    write_clip(source, frames=frames)
    whole = folder / "whole" / "out.mp4"
    whole.parent.mkdir()
    seconds = finish(source, whole, extra)
    wanted = frames_of(whole)
    assert len(wanted) == frames
    for number in range(kills):
        output = folder / f"killed-{number}" / "out.mp4"
        output.parent.mkdir()
        when = kill_once(source, output, extra, chance=chance)
        if output.exists():
            lines.append(f"{number}: was faster than the kill at {when}")
            assert frames_of(output) == wanted, lines[-1]
            continue
        left = [path.name for path in partials(output.parent)]
        again = finish(source, output, extra)
        lines.append(
            f"{number}: killed after {when} of {seconds:.1f} s, left {left}; "
            f"run again in {again:.1f} s"
        )
        assert frames_of(output) == wanted, lines[-1]
    return lines


def main() -> None:
    """Print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("extra", nargs="*", help="further options of derain, after --")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        for line in rounds(
            Path(name),
            options.kills,
            frames=options.frames,
            seed=options.seed,
            extra=options.extra,
        ):
            print(line)


if __name__ == "__main__":
    main()
