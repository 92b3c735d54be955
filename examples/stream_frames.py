"""Derain frames one by one, with their time stamps, without writing a file.

Usage: python examples/stream_frames.py VIDEO
"""

import sys

import rainclear
from rainclear.video import VideoReader


def main(source: str) -> int:
    """Print time and rain score of every derained frame; returns the frame count."""
    frames = 0
    with VideoReader(source) as reader:
        for out in rainclear.Derainer("d-daiam-rt").stream(reader):
            print(f"{out.time:8.3f} s  rain score {out.metadata['rain_score']:.2f}")
            frames += 1
    return frames


if __name__ == "__main__":
    main(sys.argv[1])
