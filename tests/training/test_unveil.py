"""The veil, fitted to whole frames after training."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rainclear.config import ModelSpec, TrainingRecipe, UnveilRecipe
from rainclear.data import scenes
from rainclear.data.rainy import RainyClips
from rainclear.data.scenes import Scene
from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.ushaped import UDDAiAM
from rainclear.runtime.load import load_model
from rainclear.training.progress import Progress
from rainclear.training.run import train_model
from rainclear.training.unveil import finished_rounds, fit_unveil
from rainclear.training.unveil_fit import fit_cells
from rainclear.training.unveil_samples import CellSample, WholeFrames, collect, unveil_of

MakeSpec = Callable[..., ModelSpec]
VEIL = "architecture.options.veil=true"
SHORT = (
    *("training.unveil.rounds=1", "training.unveil.clips=2", "training.unveil.frames=2"),
    "training.unveil.steps=3",
)


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole frames as large as crops, which are soon rained on."""
    for name, side in (("_LOW", 64), ("_HIGH", 96), ("_WIDEST", 96)):
        monkeypatch.setattr(scenes, name, side)


def network(*, seed: int = 0) -> RealtimeDDAiAM:
    torch.manual_seed(seed)
    return RealtimeDDAiAM(deep_channels=16, hidden=4, veil=True).eval()


def drawn(seed: int) -> np.ndarray:
    """A scene of flat shapes, most of them dark."""
    rng = np.random.default_rng(seed)
    scene = np.full((64, 96, 3), rng.uniform(0.1, 0.7, 3), np.float32)
    for _ in range(12):
        x, y = (int(v) for v in rng.integers(0, (96, 64)))
        width, height = (int(v) for v in rng.integers(8, 40, 2))
        scene[y : y + height, x : x + width] = rng.uniform(0, 0.9, 3) ** 2
    return cv2.GaussianBlur(scene, (0, 0), 0.8)


def veiled(seed: int, arrives: float) -> dict[str, Tensor]:
    """The scene twice, of which a share of the light arrives through air of 0.8."""
    clean = drawn(seed)
    rainy = clean * arrives + 0.8 * (1 - arrives)
    frames = (torch.from_numpy(p).mul(255).round().byte().permute(2, 0, 1) for p in (rainy, clean))
    rainy, clean = (frame[None].repeat(1, 2, 1, 1, 1) for frame in frames)
    return {"rainy": rainy, "clean": clean, "dry": torch.tensor([arrives == 1])}


def samples_of(model: nn.Module, clips: list[dict[str, Tensor]]) -> list[CellSample]:
    return [sample for found in collect(model, clips) for sample in found]


def psnr(model: nn.Module, clip: dict[str, Tensor]) -> float:
    rainy, clean = (clip[k][:, 0].float() / 255 for k in ("rainy", "clean"))
    with torch.no_grad():
        error = (model(rainy).image.clamp(0, 1) - clean).square().mean()
    return float(-10 * error.clamp_min(1e-8).log10())


def whole_frames(make_spec: MakeSpec, *overrides: str) -> tuple[RainyClips, TrainingRecipe]:
    recipe = make_spec(VEIL, *SHORT, *overrides).training
    assert recipe is not None
    frames = [np.uint8(255 * drawn(i)) for i in range(2)]
    places = [Scene(name="one", frames=frames[:1]), Scene(name="two", frames=frames)]
    return RainyClips(places, recipe.data, seed=recipe.optim.seed), recipe


@pytest.mark.usefixtures("small_frames")
@pytest.mark.parametrize("overrides", [(), ("training.data.dry=1",)], ids=["rain", "dry"])
def test_whole_frames(make_spec: MakeSpec, overrides: tuple[str, ...]) -> None:
    clips, _ = whole_frames(make_spec, *(overrides or ("training.data.dry=0",)))
    source = WholeFrames(clips, 3)
    first, again, other = (source.sample(i) for i in (4, 4, 5))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first["clean"].shape != other["clean"].shape or not torch.equal(
        first["clean"], other["clean"]
    )
    assert {len(source.sample(i)["rainy"]) for i in range(8)} == {1, 3}
    for clip in (first, other):
        assert clip["rainy"].shape == clip["clean"].shape
        assert clip["rainy"].shape[-2] % 32 == clip["rainy"].shape[-1] % 32 == 0
        assert bool(clip["dry"]) == bool(overrides)
        assert torch.equal(clip["rainy"], clip["clean"]) == bool(overrides)


@pytest.mark.parametrize("kind", ["rt", "cascade"])
def test_what_is_collected_tells_what_is_left(kind: str) -> None:
    model: nn.Module = network()
    if kind == "cascade":
        floors = {"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1], "refine": (1, 1), "hidden": 4}
        first = {"deep_channels": 16, "hidden": 4, "veil": True}
        model = UDDAiAM(**floors, veil=True, first=first).eval()
        nn.init.normal_(model.first.unveil.expand.bias, std=0.1)
    unveil = unveil_of(model)
    nn.init.normal_(unveil.expand.bias, std=0.1)
    nn.init.normal_(unveil.expand.weight, std=0.05)
    head = copy.deepcopy(unveil)
    head.cell = 1
    found = samples_of(model, [veiled(0, 0.7), veiled(1, 1.0)])
    assert [sample.dry for sample in found] == [False, False, True, True]
    assert [sample.rained > 0.001 for sample in found] == [True, True, False, False]
    for sample in found:
        cells, picture, error = (v.float()[None] for v in sample[:3])
        assert cells.shape == (1, head.read.in_channels, 2, 3)
        with torch.no_grad():
            maps = torch.cat(head.maps(*cells.split([cells.shape[1] - 5, 2, 3], 1)), 1)
        maps = nn.functional.interpolate(maps, size=(8, 12), mode="bilinear")
        gain, offset = maps.chunk(2, 1)
        assert (picture * gain + offset).square().mean() > 1e-3
        left = sample.within + float((error + picture * gain + offset).square().mean())
        assert left == pytest.approx(sample.left, rel=0.02)


def test_samples_of_a_clip_are_further_and_further_apart() -> None:
    clean = torch.arange(1, 13).byte().view(1, 12, 1, 1, 1).repeat(1, 1, 3, 32, 32)
    clip = {"rainy": torch.zeros_like(clean), "clean": clean, "dry": torch.tensor([False])}
    frames = [round(255 * sample.rained**0.5) for sample in samples_of(network(), [clip])]
    assert frames == [1, 3, 6, 10, 12]


def test_a_veil_is_undone_better_after_a_fit() -> None:
    model = network()
    clips = [veiled(seed, arrives) for seed in range(8) for arrives in (1.0, 0.7, 0.45)]
    held_out = {arrives: veiled(99, arrives) for arrives in (1.0, 0.7, 0.45)}
    before = {arrives: psnr(model, clip) for arrives, clip in held_out.items()}
    others = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("unveil.")}
    samples = samples_of(model, clips)
    steps = list(fit_cells(model.unveil, samples, UnveilRecipe(steps=60), seed=0))
    after = {arrives: psnr(model, clip) for arrives, clip in held_out.items()}
    assert len(steps) == 60
    assert steps[-1][0] < 0.5 * steps[0][0]
    assert after[0.45] > before[0.45] + 5
    assert after[0.7] > before[0.7] + 2
    assert after[1.0] > 25
    assert all(torch.equal(model.state_dict()[k], v) for k, v in others.items())


def test_a_fit_goes_on_from_what_there_is() -> None:
    model = network()
    nn.init.normal_(model.unveil.expand.weight, std=0.1)
    samples = samples_of(model, [veiled(0, 0.7)])
    before, clip = psnr(model, veiled(1, 0.7)), veiled(1, 0.7)
    for _ in fit_cells(model.unveil, samples, UnveilRecipe(steps=2, lr=1e-9), seed=0):
        pass
    assert psnr(model, clip) == pytest.approx(before, abs=1e-3)


def test_a_fit_that_fails_leaves_what_was_there() -> None:
    model = network()
    samples = samples_of(model, [veiled(0, 0.7)])
    broken = [sample._replace(within=float("nan")) for sample in samples]
    weights = copy.deepcopy(model.unveil.state_dict())
    with pytest.raises(ModelError, match=r"training\.unveil\.lr"):
        list(fit_cells(model.unveil, broken, UnveilRecipe(steps=2), seed=0))
    assert all(torch.equal(weights[k], v) for k, v in model.unveil.state_dict().items())


@pytest.mark.usefixtures("small_frames")
def test_the_seed_decides_and_the_rest_is_kept(tmp_path: Path, make_spec: MakeSpec) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        clips, recipe = whole_frames(make_spec, f"training.optim.seed={seed}")
        model, told = network(), list[Progress]()
        (folder := tmp_path / name).mkdir()
        before = copy.deepcopy(model.state_dict())
        fit_unveil(model, clips, recipe, folder, step=4, last=6, finished=[], tell=told.append)
        after = model.state_dict()
        changed = {key for key in after if not torch.equal(after[key], before[key])}
        assert changed
        assert all(key.startswith("unveil.") for key in changed)
        assert [progress.step for progress in told] == [7, 8, 9, 10, 11]
        assert {progress.steps for progress in told} == {11}
        assert [progress.saved for progress in told] == [False] * 4 + [True]
        assert all(progress.now["unveil"] > 0 for progress in told)
        assert len(finished_rounds(folder, 4)) == 1
        assert finished_rounds(folder, 5) == []  # of other weights
        found.append(torch.cat([v.flatten() for v in model.unveil.state_dict().values()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.usefixtures("small_frames")
def test_a_run_goes_on_with_the_next_round(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec
) -> None:
    def run(out: str, *overrides: str, resume: bool = False) -> list[Progress]:
        told: list[Progress] = []
        spec = make_spec(VEIL, *SHORT, "training.optim.steps=2", *overrides)
        train_model(
            spec, data_folder, tmp_path / out, resume=resume, report=told.append, tensorboard=False
        )
        return told

    two = "training.unveil.rounds=2"
    assert [p.step for p in run("parts")] == list(range(1, 8))
    one = (tmp_path / "parts" / "model.safetensors").read_bytes()
    assert [p.step for p in run("parts", two, resume=True)] == list(range(8, 13))
    assert len(run("whole", two)) == 12
    parts, whole = (tmp_path / name for name in ("parts", "whole"))
    for file in ("model.safetensors", "log.jsonl"):
        assert (parts / file).read_bytes() == (whole / file).read_bytes()
    assert (parts / "model.safetensors").read_bytes() != one
    rows = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 7, 12]
    assert all("score" in row for row in rows)
    losses = [json.loads(line) for line in (parts / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in losses] == [2, 7, 10, 12]


@pytest.mark.usefixtures("small_frames")
def test_a_finished_model_is_fitted_without_training(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec
) -> None:
    plain = make_spec("training.optim.steps=1")
    train_model(plain, data_folder, tmp_path / "plain", tensorboard=False)
    spec = make_spec(
        VEIL, *SHORT, "training.optim.steps=0", f"training.start_from={tmp_path / 'plain'}"
    )
    out = train_model(spec, data_folder, tmp_path / "fitted", tensorboard=False)
    before, after = (load_model(str(tmp_path / n)).state_dict() for n in ("plain", "fitted"))
    assert all(torch.allclose(after[name], before[name], atol=1e-7) for name in before)
    assert after["unveil.expand.weight"].any()
    with pytest.raises(OutputError, match="--resume"):
        train_model(spec, data_folder, out, tensorboard=False)
    weights = (out / "model.safetensors").read_bytes()
    train_model(spec, data_folder, out, resume=True, tensorboard=False)  # all is done
    assert (out / "model.safetensors").read_bytes() == weights


def test_what_is_refused(data_folder: Path, tmp_path: Path, make_spec: MakeSpec) -> None:
    with pytest.raises(ConfigError, match=r"architecture\.options\.veil"):
        train_model(make_spec(*SHORT), data_folder, tmp_path / "out")
    assert not (tmp_path / "out" / "last.ckpt").exists()
    with pytest.raises(ConfigError, match=r"unveil\.rounds"):
        make_spec("training.optim.steps=0")
    with pytest.raises(ConfigError, match=r"unveil\.rounds"):
        make_spec("training.dual_pixel={}", *SHORT)
