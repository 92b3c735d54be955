"""Deraining inside ultralytics: the only change to a predict call is ``predictor=``.

Usage: python examples/detect_predictor.py PICTURE_OR_VIDEO YOLO.pt
"""

import sys

from rainclear.detection import DerainPredictor, load_yolo


def main(source: str, weights: str) -> int:
    """Print the boxes of every frame, in native pixels; returns the frame count."""
    model = load_yolo(weights)  # an ultralytics.YOLO, loaded without telemetry or downloads
    frames = 0
    for result in model.predict(source, stream=True, predictor=DerainPredictor, verbose=False):
        what = "derained" if result.reading.open else "dry, untouched"  # the rain gate's decision
        print(f"rain score {result.rain_score:.2f} ({what}), {len(result.boxes)} objects")
        assert result.derained.shape == result.rainy.shape  # both pictures, BGR
        frames += 1
    return frames


if __name__ == "__main__":
    main(*sys.argv[1:])
