"""Rains on a clean video, derains it with `rainclear derain`, and compares with the original.

Prints whether every frame and time stamp is there, the mean PSNR of the rainy and of the derained
file, and the PSNR of the clean video put through the same command.

Usage: python tests/bench/restore_video.py VIDEO... [--preset moderate] [--model d-daiam-rt]
"""

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from rainclear.data.synth import rain_on_file
from rainclear.evaluation.metrics import psnr
from rainclear.rain.presets import preset
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.jobs import derain_video
from rainclear.video import VideoReader, probe


def times(path: Path) -> list[Fraction]:
    """Time stamps of all frames in seconds."""
    with VideoReader(path) as reader:
        return [frame.pts * frame.time_base for frame in reader]


def mean_psnr(path: Path, truth: Path) -> float:
    """Mean over frames of the PSNR of one file against another."""
    with VideoReader(path) as a, VideoReader(truth) as b:
        scores = [psnr(x.eight_bit(), y.eight_bit()) for x, y in zip(a, b, strict=True)]
    return float(np.mean(scores))


def main() -> None:
    """Print one line a video and preset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--preset", nargs="+", default=["moderate", "heavy"])
    parser.add_argument("--model", default="d-daiam-rt")
    options = parser.parse_args()
    derainer = Derainer(options.model)
    with tempfile.TemporaryDirectory() as name:
        rainy, out = Path(name) / "rainy.mp4", Path(name) / "derained.mp4"
        for video in options.videos:
            for kind in options.preset:
                rain = preset(kind, height=probe(video).height)
                rain_on_file(video, rainy, rain, crf=10)
                report = derain_video(rainy, out, derainer=derainer, overwrite=True)
                same = times(out) == times(rainy) == times(video)
                before, after = mean_psnr(rainy, video), mean_psnr(out, video)
                rainy.unlink()
                print(
                    f"{video.name} {kind}: {report.frames} frames, pts equal: {same}, "
                    f"PSNR {before:.2f} -> {after:.2f} dB ({after - before:+.2f}), "
                    f"rain score {report.rain_score_mean:.3f}, {report.fps:.1f} fps",
                    flush=True,
                )
            report = derain_video(video, out, derainer=derainer, overwrite=True)
            print(
                f"{video.name} clean: PSNR of the output against the input "
                f"{mean_psnr(out, video):.2f} dB, rain score {report.rain_score_mean:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
