"""Kills ``rainclear derain --resume`` without warning at random moments and runs it again.

Run by ``make soak``. A killed job must not leave a file under the output's name, and the same
command must go on and give every frame, every time stamp and every packet of sound as one that
nobody disturbed.
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rainclear.cli.app import main as main_of_rainclear
from rainclear.runtime import batch, derainer  # noqa: F401  # imported once, for all runs
from rainclear.runtime.job_folder import folder_of, kept_frames

LIMIT = 900.0
"""Seconds after which a run counts as hung."""
RATE = 25


def write_clip(path: Path, *, frames: int) -> None:
    """A moving picture of 64×48 with uneven time stamps, and a tone."""
    wide = np.random.default_rng(0).integers(30, 220, (48, 64 + frames, 3), np.uint8)
    with av.open(str(path), "w") as out:
        tick = Fraction(1, 1000)
        video = out.add_stream("libx264", rate=RATE, time_base=tick, options={"g": "30"})
        video.time_base = tick
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("aac", rate=48000)
        for n in range(frames):
            pixels = np.ascontiguousarray(wide[:, n : n + 64])
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = 1000 * n // RATE + n % 3, tick
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        for block in range(frames * 50 // RATE):
            tone = np.sin((np.arange(960) + block * 960) / 15).astype(np.float32) * 0.3
            samples = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
            samples.sample_rate, samples.time_base = 48000, Fraction(1, 48000)
            samples.pts = block * 960
            out.mux(sound.encode(samples))
        out.mux(sound.encode(None))


def contents(path: Path) -> tuple[list[tuple[Fraction, str]], list[tuple[int | None, bytes]]]:
    """Time and hash of every frame; stamp and bytes of every packet of sound."""
    with av.open(str(path)) as video:
        frames = [
            (frame.pts * frame.time_base, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest())
            for frame in video.decode(video=0)
        ]
    with av.open(str(path)) as video:
        sound = [(p.pts, bytes(p)) for p in video.demux(audio=0) if p.size]
    return frames, sound


class Run:
    """The command in a process of its own, forked so that it need not import everything again."""

    def __init__(self, source: Path, output: Path, extra: list[str]) -> None:
        self._said = output.with_suffix(".log")
        arguments = ["derain", str(source), "-o", str(output), "--resume", *extra]
        self._pid = os.fork()
        if not self._pid:
            os._exit(_child(arguments, self._said))
        self.code: int | None = None

    def poll(self, *, wait: bool = False) -> int | None:
        """The exit status, ``None`` while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self._pid, 0 if wait else os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def kill(self) -> None:
        """``kill -9``, unless it has ended."""
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)
            self.poll(wait=True)

    def said(self) -> str:
        """What it wrote on stderr."""
        return self._said.read_text(encoding="utf-8")


def _child(arguments: list[str], said: Path) -> int:
    with said.open("wb") as errors, open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
        os.dup2(errors.fileno(), sys.stderr.fileno())
    sys.argv = ["rainclear", *arguments]
    try:
        main_of_rainclear()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def finish(source: Path, output: Path, extra: list[str]) -> float:
    """Run the command to its end; the seconds from its folder on that it worked."""
    run = Run(source, output, extra)
    begun = _working(run, output)
    while run.poll() is None:
        if time.monotonic() > begun + LIMIT:
            run.kill()
            raise AssertionError(f"derain hangs: {run.said()}")
        time.sleep(0.002)
    if run.code:
        raise AssertionError(f"derain ended with {run.code}: {run.said()}")
    return time.monotonic() - begun


def _working(run: Run, output: Path) -> float:
    """Wait until a run has its folder, or ends; when that was."""
    folder = folder_of(output) / "job.json"
    while run.poll() is None and not folder.exists() and not output.exists():
        time.sleep(0.002)
    return time.monotonic()


def kill_once(
    source: Path, output: Path, extra: list[str], *, chance: random.Random, seconds: float
) -> str:
    """Kill a run at a random moment of the ``seconds`` that it works; when that was."""
    run = Run(source, output, extra)
    begun = _working(run, output)
    moment = begun + chance.uniform(0.0, seconds)
    while time.monotonic() < moment and run.poll() is None:
        time.sleep(0.002)
    run.kill()
    return f"{time.monotonic() - begun:.2f} of {seconds:.2f} s"


def rounds(
    folder: Path, kills: int, *, frames: int = 400, seed: int = 0, extra: list[str] | None = None
) -> Iterator[str]:
    """Kill and run again, ``kills`` times, each with an output of its own; a line for each.

    Raises:
        AssertionError: A killed job left something under the output's name that is not whole, or
            the next run gave other frames, stamps or sound, or left its folder.
    """
    extra = ["--device", "cpu", "--backend", "eager", *(extra or [])]
    source, chance = folder / "in.mp4", random.Random(seed)
    write_clip(source, frames=frames)
    whole = folder / "whole" / "out.mp4"
    whole.parent.mkdir()
    seconds = finish(source, whole, extra)
    wanted = contents(whole)
    assert len(wanted[0]) == frames and wanted[1]
    for number in range(kills):
        output = folder / f"killed-{number}" / "out.mp4"
        output.parent.mkdir()
        when = kill_once(source, output, extra, chance=chance, seconds=seconds)
        kept, was_whole = kept_frames(output), output.exists()
        if was_whole:
            assert contents(output) == wanted, f"{number}: the output was there and not whole"
        again = finish(source, output, extra)
        assert contents(output) == wanted, f"{number}: killed after {when}, {kept} frames kept"
        assert not folder_of(output).exists(), f"{number}: {folder_of(output)} is left"
        left = "the job was done" if was_whole else f"{kept} of {frames} frames kept"
        yield f"{number}: killed after {when}, {left}; {again:.2f} s more, the same"


def main() -> None:
    """Print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--segment", type=int, default=20, help="frames of a segment")
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
            extra=["--segment", str(options.segment), *options.extra],
        ):
            print(line, flush=True)


if __name__ == "__main__":
    main()
