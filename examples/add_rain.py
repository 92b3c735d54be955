"""Rain on a video: to try deraining, or any other perception code, where no rainy file is at hand.

Usage: python examples/add_rain.py CLEAN.mp4 RAINY.mp4 [PRESET]
"""

import sys
from dataclasses import replace

import numpy as np

from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.video import VideoReader, VideoWriter


def main(source: str, output: str, name: str = "moderate") -> int:
    """Write ``source`` with the rain preset ``name`` to ``output``; returns the frame count."""
    with VideoReader(source) as reader:
        height, width = reader.info.height, reader.info.width
        rain = RainClip(preset(name, height=height), height, width, seed=0)
        with VideoWriter(output, template=reader, preset="veryfast") as writer:
            for frame in reader:
                clean = frame.eight_bit().astype(np.float32) / np.float32(255)
                rainy = np.rint(rain(clean).rainy * 255).astype(np.uint8)
                writer.write(replace(frame, pixels=rainy))
        return writer.frames


if __name__ == "__main__":
    main(*sys.argv[1:])
