"""Measures how fast training samples are made, and whether a training step waits for them.

Run by `make bench`; figures depend on the machine, so nothing is asserted here.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from rainclear.config import DataRecipe
from rainclear.data.deadleaves import dead_leaves
from rainclear.data.rainy import RainyClips
from rainclear.data.scenes import Scene
from rainclear.training.progress import Progress
from rainclear.training.run import read_recipe, train_model
from rainclear.video import write_image


def samples(recipe: DataRecipe, count: int) -> None:
    """Clips of 4 frames of 128×128 a second on one core, all kinds of rain mixed."""
    rng = np.random.default_rng(0)
    scenes = [Scene(name=str(i), frames=[dead_leaves(rng, 640)]) for i in range(4)]
    clips = RainyClips(scenes, recipe.model_copy(update={"dead_leaves": 0.0}), seed=0)
    for i in range(8):
        clips.sample(i)
    started = time.process_time()
    for i in range(count):
        clips.sample(i)
    seconds = time.process_time() - started
    size = f"{recipe.crop}x{recipe.crop}x{recipe.frames}"
    print(f"{size} clips a second and core: {count / seconds:.1f} ({1e3 * seconds / count:.1f} ms)")


def steps(model: str, count: int, workers: int, sizes: list[str]) -> None:
    """Share of a training step's time that goes by waiting for samples."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "scenes").mkdir()
        for i in range(4):
            write_image(root / "scenes" / f"{i}.png", dead_leaves(np.random.default_rng(i), 640))
        overrides = [
            *sizes,
            "training.data.include=[scenes/*.png]",
            "training.data.validation=[scenes/0.png]",
            f"training.data.workers={workers}",
            f"training.optim.steps={count}",
            f"training.validate_every={count}",
        ]
        waits: list[float] = []
        times: list[float] = []

        def report(progress: Progress) -> None:
            waits.append(progress.waiting)
            times.append(progress.seconds_per_step)

        train_model(read_recipe(model, overrides), root, root / "run", report=report)
    settled = slice(count // 3, -1)  # once the workers run ahead
    waited, step = float(np.mean(waits[settled])), float(np.mean(times[settled]))
    print(
        f"{model}, {workers} workers, {torch.get_num_threads()} threads: "
        f"{1e3 * step:.0f} ms a step, {1e3 * waited:.1f} ms of them waiting ({waited / step:.1%})"
    )


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="d-daiam-rt")
    parser.add_argument("--count", type=int, default=300, help="clips to make")
    parser.add_argument("--steps", type=int, default=60, help="training steps to take")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of torch; its own choice by default")
    options = parser.parse_args()
    sizes = [f"training.data.crop={options.crop}", f"training.data.batch={options.batch}"]
    training = read_recipe(options.model, sizes).training
    assert training is not None
    samples(training.data, options.count)
    if options.threads:
        torch.set_num_threads(options.threads)
    steps(options.model, options.steps, options.workers, sizes)


if __name__ == "__main__":
    main()
