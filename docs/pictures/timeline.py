"""Draws docs/pictures/timeline.svg, the simulated timeline of the device pipeline."""

from pathlib import Path

from rainclear.runtime.simulate import Costs, simulate
from rainclear.runtime.timeline import timeline_svg

MILLISECONDS = 66
COSTS = Costs(upload=2, compute=6, download=3)


def picture() -> str:
    """One slot above three slots."""
    panels = []
    for slots, name in ((1, "One slot"), (3, "Three slots")):
        forecast = simulate(COSTS, slots=slots)
        panels.append((f"{name}: {1 / forecast.fps:g} ms a frame", forecast.work))
    return timeline_svg(panels, seconds=MILLISECONDS)


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(picture(), encoding="utf-8")
