"""Objects in a rainy video: derain every frame, then detect.

Usage: python examples/detect_stream.py VIDEO DETECTOR
"""

import sys

import rainclear
from rainclear.detection import COCO_NAMES, load_detector
from rainclear.video import VideoReader


def main(source: str, weights: str) -> int:
    """Print what ``weights`` (such as yolo11n.pt) finds; returns the frame count."""
    detector = load_detector(weights)
    frames = 0
    with VideoReader(source) as reader:
        for frame in rainclear.Derainer("d-daiam-rt").stream(reader):
            (found,) = detector([frame.eight_bit()])
            names = ", ".join(COCO_NAMES[number] for number in found.classes)
            print(f"{frame.time:8.3f} s  {len(found)} objects  {names}")
            frames += 1
    return frames


if __name__ == "__main__":
    main(*sys.argv[1:])
