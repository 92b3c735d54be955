"""Rain on a video: to try deraining, or any other perception code, where no rainy file is at hand.

Usage: python examples/add_rain.py CLEAN.mp4 RAINY.mp4 [PRESET]
"""

import sys

from rainclear.data.synth import rain_on_file
from rainclear.rain.presets import preset
from rainclear.video import probe


def main(source: str, output: str, name: str = "moderate") -> int:
    """Write ``source`` with the rain preset ``name`` to ``output``; returns the frame count."""
    rain = preset(name, height=probe(source).height)
    return rain_on_file(source, output, rain, seed=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
