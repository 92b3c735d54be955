"""Measures `rainclear derain` on clips of two lengths: speed, processor use, peak memory.

Run by `make bench`; figures depend on the machine, so nothing is asserted here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from rainclear.data.deadleaves import dead_leaves
from rainclear.frame import Frame
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.video import VideoInfo, VideoWriter


def write_clip(path: Path, *, width: int, height: int, frames: int) -> None:
    """A rainy clip of a moving picture; the rain repeats every 30 frames to save time."""
    picture = dead_leaves(np.random.default_rng(0), max(width, height) + 64)
    rain = RainClip(preset("moderate", height=height), height, width, seed=0)
    cycle = []
    for i in range(30):
        view = picture[i : i + height, i : i + width].astype(np.float32) / np.float32(255)
        cycle.append(np.rint(rain(view).rainy * 255).astype(np.uint8))
    info = VideoInfo(
        path=Path(), width=width, height=height, time_base=Fraction(1, 12800), rate=Fraction(25)
    )
    with VideoWriter(path, template=info, preset="veryfast", keep_streams=False) as writer:
        frame = Frame(pixels=cycle[0], time_base=Fraction(1, 12800))
        for i in range(frames):
            writer.write(replace(frame, pixels=cycle[i % 30], pts=i * 512, index=i))


def measure(clip: Path, folder: Path, extra: list[str]) -> dict[str, float]:
    """Derain ``clip`` in a process of its own and return its report."""
    report = folder / "report.json"
    command = [sys.executable, "-c", "from rainclear.cli.app import main; main()", "derain"]
    out = ["-o", str(folder / f"derained-{clip.name}"), "--report", str(report), "--overwrite"]
    subprocess.run([*command, str(clip), *out, *extra], check=True, capture_output=True)
    result: dict[str, float] = json.loads(report.read_text())
    return result


def main() -> None:
    """Print one line a clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--model", default="d-daiam-rt")
    options = parser.parse_args()
    width, height = (int(v) for v in options.size.split("x"))
    print(f"{options.model} on {width}x{height}, rainy video in, libx264 veryfast out")
    print("frames    fps   cpu/2·wall  decode  model  encode   peak MiB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for frames in options.frames:
            clip = folder / f"rainy-{frames}.mp4"
            write_clip(clip, width=width, height=height, frames=frames)
            r = measure(clip, folder, ["--model", options.model])
            stages = r["stage_seconds"]
            print(
                f"{frames:6d} {r['fps']:6.1f} {r['cpu_seconds'] / (2 * r['seconds']):10.2f}"
                f" {stages['decode']:9.1f} {stages['model']:6.1f} {stages['encode']:6.1f}"
                f" {r['peak_rss_mb']:10.0f}"
            )


if __name__ == "__main__":
    main()
