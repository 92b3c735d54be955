"""What a detector wins and loses by deraining, to look at frame by frame in the rerun viewer.

Needs rerun (MIT or Apache-2.0): pip install rerun-sdk. Open the result with: rerun OUT.rrd

Usage: python examples/rerun_wins.py VIDEO DETECTOR OUT.rrd
"""

import sys

import numpy as np
import rerun

import rainclear
from rainclear.detection import COCO_NAMES, Detections, load_detector
from rainclear.pipeline.draw import LOST, WON
from rainclear.pipeline.result import won_and_lost
from rainclear.video import VideoReader

SAME = (235, 235, 235)


def boxes(found: Detections, odd: np.ndarray, colour: tuple[int, int, int]) -> rerun.Boxes2D:
    """Boxes of one frame; those in the mask ``odd`` have a colour of their own."""
    return rerun.Boxes2D(
        array=found.xyxy,
        array_format=rerun.Box2DFormat.XYXY,
        colors=[colour if is_odd else SAME for is_odd in odd],
        labels=[COCO_NAMES[number] for number in found.classes],
    )


def main(source: str, weights: str, output: str) -> tuple[int, int]:
    """Record both sides, their boxes, the rain score and the balance; returns won and lost."""
    detector, derainer = load_detector(weights), rainclear.Derainer("d-daiam-rt")
    won = lost = 0
    with rerun.RecordingStream("rainclear") as recording, VideoReader(source) as reader:
        recording.save(output)
        for rainy in reader:
            (clear,) = derainer.stream([rainy])
            before, after = detector([rainy.eight_bit(), clear.eight_bit()])
            change = won_and_lost(before, after)
            won, lost = won + int(change.won.sum()), lost + int(change.lost.sum())
            recording.set_time("video", duration=rainy.time)
            for side, frame in (("rainy", rainy), ("derained", clear)):
                recording.log(side, rerun.Image(frame.eight_bit()).compress(jpeg_quality=85))
            recording.log("rainy/objects", boxes(before, change.lost, LOST))
            recording.log("derained/objects", boxes(after, change.won, WON))
            recording.log("score/rain", rerun.Scalars(clear.metadata["rain_score"]))
            recording.log("balance/won", rerun.Scalars(won))
            recording.log("balance/lost", rerun.Scalars(lost))
    print(f"{won} boxes won, {lost} lost")
    return won, lost


if __name__ == "__main__":
    main(*sys.argv[1:])
