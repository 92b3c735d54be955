"""Derain an OpenCV loop: one line more than without rainclear.

Usage: python examples/opencv_loop.py VIDEO_OR_CAMERA_NUMBER
"""

import sys

import cv2

import rainclear


def main(source: str) -> int:
    """Read frames with OpenCV, derain each, and print the rain score; returns the frame count."""
    camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
    derainer = rainclear.Derainer("d-daiam-rt")
    frames = 0
    while True:
        ok, frame = camera.read()
        if not ok:
            break
        derained = derainer(frame)  # BGR uint8 in, BGR uint8 out
        frames += 1
        print(f"frame {frames}: {derained.shape}, rain score {derainer.rain_score:.2f}")
    return frames


if __name__ == "__main__":
    main(sys.argv[1])
