"""What rain hides from a detector, and what deraining shows it again: a video and a figure.

Rains on a clean video, derains it, and looks for objects in all three. What the detector finds in
the clean frames is the reference.

Usage: python examples/detections_over_time.py CLEAN.mp4 DETECTOR FOLDER [PRESET] [FRAMES]
"""

import sys
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

import rainclear
from rainclear.detection import Detections, Detector, load_detector
from rainclear.evaluation.plot import line_plot
from rainclear.frame import Frame
from rainclear.pipeline import won_and_lost
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.video import VideoReader, VideoWriter
from rainclear.video.lettering import draw_text

PANES = ("clean", "rainy", "derained")
FOUND, MISSED = (50, 205, 90), (240, 50, 50)
WIDTH = 640
"""Of each of the three panes, in pixels."""


def pane(name: str, pixels: np.ndarray, reference: Detections, missed: np.ndarray) -> np.ndarray:
    """One third of the picture: the reference's boxes, green where found and red where missed."""
    k = WIDTH / pixels.shape[1]
    height = round(pixels.shape[0] * k) // 2 * 2
    canvas = cv2.resize(pixels, (WIDTH, height), interpolation=cv2.INTER_AREA)
    for box, gone in zip(reference.xyxy * k, missed, strict=True):
        x0, y0, x1, y1 = (round(float(v)) for v in box)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), MISSED if gone else FOUND, 2, cv2.LINE_AA)
    text = f"{name}: {int((~missed).sum())} of {len(reference)}"
    draw_text(canvas, text, (8, 24), (255, 255, 255), scale=0.7)
    return canvas


def smooth(values: list[int], frames: int) -> list[float]:
    """Means over ``frames`` around each value."""
    padded = np.pad(np.array(values, np.float64), frames // 2, mode="edge")
    return list(np.convolve(padded, np.ones(frames) / frames, "same")[frames // 2 :][: len(values)])


def look(detector: Detector, pictures: list[np.ndarray]) -> list[Detections]:
    """Objects in each picture; one call each, as they would come from a camera."""
    return [detector([picture])[0] for picture in pictures]


def main(source: str, weights: str, folder: str, kind: str = "heavy", most: str = "100000") -> int:
    """Write ``detections.mp4`` and ``detections.svg`` into ``folder``; returns the frame count."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    detector, derainer = load_detector(weights), rainclear.Derainer("d-daiam-rt")
    counts: dict[str, list[int]] = {name: [] for name in PANES}
    times: list[float] = []
    with VideoReader(source) as reader:
        info, rate = reader.info, float(reader.info.rate or Fraction(25))
        rain = RainClip(preset(kind, height=info.height), info.height, info.width, seed=0)
        # Three panes in a row have another size than the source, and nothing else of it but time.
        height = round(info.height * WIDTH / info.width) // 2 * 2
        template = replace(info, width=3 * WIDTH, height=height)
        with VideoWriter(
            out / "detections.mp4", template=template, keep_streams=False, overwrite=True, crf=23
        ) as writer:
            for frame in islice(reader, int(most)):
                clean = frame.eight_bit()
                rainy = rain(clean.astype(np.float32) / np.float32(255)).rainy
                wet = np.rint(rainy * 255).astype(np.uint8)
                shown = dict(zip(PANES, (clean, wet, derainer(wet)), strict=True))
                found = dict(zip(PANES, look(detector, list(shown.values())), strict=True))
                reference = found["clean"]
                panes = []
                for name, picture in shown.items():
                    missed = won_and_lost(reference, found[name]).lost
                    counts[name].append(int((~missed).sum()))
                    panes.append(pane(name, picture, reference, missed))
                times.append(len(times) / rate)
                writer.write(
                    Frame(
                        pixels=np.concatenate(panes, axis=1),
                        pts=frame.pts,
                        time_base=frame.time_base,
                        index=frame.index,
                    )
                )
    title = f"{Path(weights).stem}: objects found, rain preset {kind}"
    second = max(1, round(rate))
    lines = {name: smooth(row, second) for name, row in counts.items()}
    (out / "detections.svg").write_text(
        line_plot(title, times, lines, x_label="seconds", y_label="objects (mean over 1 s)"),
        encoding="utf-8",
    )
    total = max(1, sum(counts["clean"]))
    for name in PANES[1:]:
        print(f"{name}: {sum(counts[name]) / total:.1%} of {total} objects found again")
    return len(times)


if __name__ == "__main__":
    main(*sys.argv[1:])
