"""Objects in a derained video, drawn by the annotators of supervision.

Needs supervision (MIT), which comes with the extra detect.

Usage: python examples/supervision_boxes.py VIDEO DETECTOR OUT.mp4
"""

import sys
from dataclasses import replace

import numpy as np
import supervision

import rainclear
from rainclear.detection import COCO_NAMES, Detections, load_detector
from rainclear.video import VideoReader, VideoWriter


def to_supervision(found: Detections) -> supervision.Detections:
    """The same boxes as supervision has them; its annotators, trackers and zones take them."""
    names = np.array([COCO_NAMES[number] for number in found.classes], dtype=str)
    return supervision.Detections(
        xyxy=found.xyxy,
        confidence=found.scores,
        class_id=found.classes,
        data={"class_name": names},
    )


def main(source: str, weights: str, output: str) -> int:
    """Write ``source`` derained, with what ``weights`` finds, to ``output``; returns the frames."""
    detector, derainer = load_detector(weights), rainclear.Derainer("d-daiam-rt")
    boxes, labels = (
        supervision.BoxCornerAnnotator(),
        supervision.LabelAnnotator(smart_position=True),
    )
    frames = 0
    with (
        VideoReader(source) as reader,
        VideoWriter(output, template=reader.info, keep_streams=False) as writer,
    ):
        for frame in derainer.stream(reader):
            (found,) = detector([frame.eight_bit()])
            objects = to_supervision(found)
            scene = np.ascontiguousarray(frame.eight_bit()[..., ::-1])  # annotators draw on BGR
            scene = labels.annotate(boxes.annotate(scene, objects), objects)
            writer.write(replace(frame, pixels=np.ascontiguousarray(scene[..., ::-1])))
            frames += 1
    return frames


if __name__ == "__main__":
    main(*sys.argv[1:])
