import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rainclear.config import DataRecipe
from rainclear.data.scenes import Scene
from rainclear.nn.output import Derained, Stage
from rainclear.training.validation import Validation

KINDS = ("moderate", "heavy", "storm", "windshield", "rain100h", "jrsrd")


class Shift(nn.Module):
    """Gives its input back, brighter by ``by``; counts the frames since the state was reset."""

    def __init__(self, by: float = 0.0) -> None:
        super().__init__()
        self.by = by
        self.longest = 0

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        count = torch.ones(()) if state is None else state[0] + 1
        self.longest = max(self.longest, int(count))
        image = x + self.by
        return Derained(image, (count,), (Stage(image, None, None),))


@pytest.fixture(scope="module")
def validation() -> Validation:
    coarse = np.random.default_rng(0).integers(20, 200, (8, 8, 3), np.uint8)
    frame = cv2.resize(coarse, (300, 203), interpolation=cv2.INTER_CUBIC)
    recipe = DataRecipe(include=("*",), validation=("*",), frames=3)
    return Validation([Scene(name="video", frames=[frame] * 5)], recipe)


def test_clips_fit_every_network(validation: Validation) -> None:
    assert [kind for kind, _ in validation.samples] == [
        kind for kind in (*KINDS, "dry") for _ in range(2)
    ]
    assert validation.example is validation.samples[0][1]
    for _, sample in validation.samples:
        assert sample["rainy"].shape == (3, 3, 200, 296)


def test_giving_the_input_back_gains_nothing(validation: Validation) -> None:
    network = Shift()
    scores = validation(network)
    assert network.longest == 3  # the state is carried through a clip and no further
    assert set(scores) == {"gain", "dry", "score", "temporal"} | {
        f"{side}_{kind}" for side in ("input", "output") for kind in KINDS
    }
    for kind in KINDS:
        assert scores[f"output_{kind}"] == pytest.approx(scores[f"input_{kind}"])
        assert 10 < scores[f"input_{kind}"] < 50
    assert scores["input_storm"] < scores["input_moderate"]
    assert scores["gain"] == pytest.approx(0)
    assert scores["temporal"] == pytest.approx(1)
    assert scores["dry"] == pytest.approx(80)  # where it is capped
    assert scores["score"] == scores["gain"]


def test_what_dry_frames_lose_is_taken_off(validation: Validation) -> None:
    scores = validation(Shift(4 / 255))
    assert scores["dry"] == pytest.approx(20 * np.log10(255 / 4), abs=1e-3)
    assert scores["dry"] < 45
    assert scores["score"] == pytest.approx(scores["gain"] - (45 - scores["dry"]))
    assert validation(Shift(4 / 255)) == scores
