"""A tiny recipe over two pictures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import rainclear.data.dual_pixel as generated
from rainclear.config import ModelSpec, parse, with_overrides


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Pictures this small are slower on more, and far slower beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate(("train.png", "held-out.png")):
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(coarse, (72, 64)))
    return folder


@pytest.fixture
def make_spec() -> Callable[..., ModelSpec]:
    """The recipe of a run of six steps, with overrides as ``--set`` takes them."""

    def make(*overrides: str) -> ModelSpec:
        data = {
            "name": "tiny",
            "summary": "six steps",
            "architecture": {
                "network": "d-daiam-rt",
                "options": {"deep_channels": 16, "hidden": 4},
            },
            "training": {
                "data": {
                    "include": ["train.png"],
                    "validation": ["held-out.png"],
                    "frames": 2,
                    "backprop": 1,
                    "crop": 32,
                    "margin": 4,
                    "batch": 2,
                    "dead_leaves": 0.0,
                    "workers": 0,
                },
                "optim": {"steps": 6, "lr": 1e-3, "warmup": 2},
                "validate_every": 3,
            },
        }
        return parse(ModelSpec, with_overrides(data, list(overrides)), source="recipe.yaml")

    return make


def spots(scene: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A square that the halves see four pixels apart."""
    left, right = scene.copy(), scene.copy()
    y, x = (int(rng.integers(4, n - 12)) for n in scene.shape[:2])
    left[y : y + 6, x - 2 : x + 4] = 1.0
    right[y : y + 6, x + 2 : x + 8] = 1.0
    return left, right


@pytest.fixture
def dual_spec(
    make_spec: Callable[..., ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ModelSpec]:
    """Four steps of a thin DPRRN, the first of them warm-up."""
    monkeypatch.setattr(generated, "render_water", spots)

    def make(*overrides: str) -> ModelSpec:
        return make_spec(
            "architecture={network: dprrn, options: {width: 2}}",
            "training.data={include: [train.png], validation: [held-out.png], crop: 32, margin: 4,"
            " batch: 2, dead_leaves: 0.0, workers: 0}",
            "training.optim={steps: 4, lr: 1.0e-3}",
            "training.dual_pixel={warmup: 0.25}",
            *overrides,
        )

    return make
