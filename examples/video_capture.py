"""An OpenCV loop whose only change is the line that opens the camera.

Usage: python examples/video_capture.py VIDEO_OR_CAMERA_NUMBER
"""

import sys

import cv2

import rainclear


def main(source: str) -> int:
    """Read derained frames as one reads from OpenCV; returns the frame count."""
    camera = rainclear.VideoCapture(int(source) if source.isdigit() else source)
    print(f"{camera.get(cv2.CAP_PROP_FRAME_WIDTH):.0f} pixels wide")
    frames = 0
    while camera.isOpened():
        ok, frame = camera.read()
        if not ok:
            break
        frames += 1
        print(f"frame {frames}: {frame.shape}, rain score {camera.rain_score:.2f}")
    camera.release()
    return frames


if __name__ == "__main__":
    main(sys.argv[1])
