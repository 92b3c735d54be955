"""Sizes of `d-daiam-rt` and other ways to build it, trained alike and timed: quality against time.

Each is trained from the same seed on the same clips in the same order, for as many steps, by
the recipe of `d-daiam-rt`; scored by its validation, a clip and rains held out; and timed at 720p.
The clips are made once and stay in memory. A run says how the sizes compare after so many steps,
not how good one becomes when it is trained to the end.

A size whose figures are in OUT already is not trained again. In the end all of OUT are timed in
turns, and a table, `sizes.json` and `sizes.svg` are written.

Usage: python tests/bench/sizes.py DIR -o OUT [--sizes 16x32x2 32x48x3] [--steps 1200]
       (channels at a quarter, at an eighth, residual blocks there; or a name of variants.py)
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from variants import VARIANTS

from rainclear.bench.isolate import call
from rainclear.bench.plot import quality_plot
from rainclear.bench.subject import cost
from rainclear.bench.timing import Task, time_task
from rainclear.config import ModelSpec
from rainclear.data.rainy import RainyClips
from rainclear.data.scenes import load_scenes
from rainclear.runtime.load import build_network, load_model
from rainclear.training.run import export_model, read_recipe
from rainclear.training.trainer import Progress, Trainer
from rainclear.training.validation import Validation

SIZES = ("8x32x2", "16x32x2", "16x48x3", "24x48x3", "32x48x3", "48x64x3")
FRAME = 720, 1280


class KeptClips:
    """The first clips of a source, over and over.

    Args:
        clips: The source.
        number: How many are kept.
    """

    def __init__(self, clips: RainyClips, number: int) -> None:
        self.clips, self.number = clips, number
        self._kept: dict[int, dict[str, Tensor]] = {}

    def sample(self, index: int) -> dict[str, Tensor]:
        """Sample ``index`` modulo their number."""
        index %= self.number
        if index not in self._kept:
            self._kept[index] = self.clips.sample(index)
        return self._kept[index]


def recipe_of(size: str, steps: int) -> ModelSpec:
    """The recipe of ``d-daiam-rt`` at another size or built in another way, short."""
    if size in VARIANTS:
        built = [f"architecture.network={size}", "architecture.options={}"]
    else:
        channels, deep, blocks = (int(n) for n in size.split("x"))
        built = [
            f"architecture.options.channels={channels}",
            f"architecture.options.deep_channels={deep}",
            f"architecture.options.deep_blocks={blocks}",
        ]
    return read_recipe(
        "d-daiam-rt",
        [
            *built,
            f"optim.steps={steps}",
            "optim.lr=1e-3",
            "optim.ema=0.99",
            "data.frames=4",
            "data.workers=0",
            f"validate_every={steps}",
            "init=kaiming",
        ],
    )


def train(size: str, root: Path, out: Path, steps: int, clips: KeptClips) -> None:
    """Train and score one size; its model and its figures are left in a folder of ``out``."""
    spec = recipe_of(size, steps)
    assert spec.training is not None
    torch.manual_seed(0)
    network = build_network(spec.architecture)
    held_out = load_scenes(root, spec.training.data.validation, max_frames=60)
    longer = spec.training.data.model_copy(update={"frames": 12})
    trainer = Trainer(network, spec.training, clips, Validation(held_out, longer), out / size)

    def tell(progress: Progress) -> None:
        if progress.step % 100 == 0:
            print(size, progress.step, progress.losses, progress.validation, flush=True)

    trainer.run(tell)
    scores = json.loads((out / size / "log.jsonl").read_text().splitlines()[-1])
    export_model(trainer.average, spec, out / size / "model")
    spent = cost(load_model(str(out / size / "model")), FRAME)
    figures = {
        "size": size,
        "steps": steps,
        "parameters": spent.parameters,
        "multiply_adds": spent.multiply_adds,
        "gain_db": scores["gain"],
        "scores": scores,
    }
    (out / size / "figures.json").write_text(json.dumps(figures, indent=2))


def timed(out: Path, rounds: int) -> list[dict[str, Any]]:
    """Figures of all sizes in a folder, smallest first, with the least median time of a frame."""
    found = [json.loads(path.read_text()) for path in out.glob("*/figures.json")]
    found.sort(key=lambda figures: int(figures["multiply_adds"]))
    for _ in range(rounds):
        for figures in found:
            model = str(out / figures["size"] / "model")
            row = call(time_task, Task(model=model, backend="openvino", size=FRAME, device="cpu"))
            figures["ms"] = min(row.ms_median, figures.get("ms", row.ms_median))
    return found


def write(found: list[dict[str, Any]], out: Path) -> None:
    """Print a table; write it as JSON and as a plot."""
    print("| size | GMAC | parameters | ms | gain, dB |\n|---|--:|--:|--:|--:|")
    for f in found:
        print(
            f"| {f['size']} | {f['multiply_adds'] / 1e9:.1f} | {f['parameters']:,} "
            f"| {f['ms']:.1f} | {f['gain_db']:.2f} |"
        )
    (out / "sizes.json").write_text(json.dumps(found, indent=2))
    result = {
        "models": {f["size"]: {"": {"ms_median": f["ms"]}} for f in found},
        "quality": {f["size"]: {"gain_db": f["gain_db"]} for f in found},
        "prenet_ms": None,
        "size": FRAME[::-1],
    }
    (out / "sizes.svg").write_text(quality_plot(result))


def main() -> None:
    """Train what is not there yet, time all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--clips", type=int, default=2400)
    parser.add_argument("--rounds", type=int, default=3, help="of timing")
    options = parser.parse_args()
    missing = [s for s in options.sizes if not (options.out / s / "figures.json").exists()]
    if missing:
        recipe = recipe_of(SIZES[0], options.steps).training
        assert recipe is not None
        scenes = load_scenes(options.data, recipe.data.include, max_frames=recipe.data.max_frames)
        source = RainyClips(scenes, recipe.data, seed=recipe.optim.seed)
        clips = KeptClips(source, options.clips)
        for size in missing:
            train(size, options.data, options.out, options.steps, clips)
    write(timed(options.out, options.rounds), options.out)


if __name__ == "__main__":
    main()
