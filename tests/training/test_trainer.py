"""The loop: its schedule, its checkpoints, and that a run goes on as if nothing had happened."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from rainclear.config import ModelSpec, OptimRecipe
from rainclear.data.rainy import RainyClips
from rainclear.data.scenes import load_scenes
from rainclear.errors import ConfigError, ModelError
from rainclear.nn.dam import DAM
from rainclear.runtime.load import build_network
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint
from rainclear.training.schedule import learning_rate
from rainclear.training.trainer import Progress, Trainer

MakeSpec = Callable[..., ModelSpec]


class Scores:
    """Stands in for the validation: scores as listed, and what it was given."""

    example = None

    def __init__(self, *scores: float) -> None:
        self.scores, self.calls = list(scores), 0

    def __call__(self, network: nn.Module) -> dict[str, float]:
        assert not network.training
        self.calls += 1
        return {"score": self.scores[min(self.calls, len(self.scores)) - 1]}


class Stopped(Exception):
    pass


class Setup:
    def __init__(self, data: Path, out: Path) -> None:
        self.data, self.out = data, out

    def trainer(
        self, spec: ModelSpec, folder: str = "run", *, scores: Scores | None = None, seed: int = 0
    ) -> Trainer:
        recipe = spec.training
        assert recipe is not None
        torch.manual_seed(seed)
        network = build_network(spec.architecture)
        scenes = load_scenes(self.data, recipe.data.include, max_frames=4)
        clips = RainyClips(scenes, recipe.data, seed=recipe.optim.seed)
        return Trainer(network, recipe, clips, scores or Scores(1.0), self.out / folder)


@pytest.fixture
def setup(data_folder: Path, tmp_path: Path) -> Setup:
    return Setup(data_folder, tmp_path)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def stop_after(step: int) -> Callable[[Progress], None]:
    """In the step that comes then, before it is saved."""

    def report(progress: Progress) -> None:
        if progress.step == step + 1:
            raise Stopped

    return report


def ignore(progress: Progress) -> None:
    pass


def test_the_learning_rate_warms_up_and_falls() -> None:
    optim = OptimRecipe(steps=104, lr=1e-3, final_lr=1e-5, warmup=4)
    assert [learning_rate(step, optim) for step in range(5)] == pytest.approx(
        [0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3]
    )
    assert learning_rate(54, optim) == pytest.approx((1e-3 + 1e-5) / 2)
    assert learning_rate(104, optim) == pytest.approx(1e-5, rel=1e-9)
    assert learning_rate(500, optim) == pytest.approx(1e-5, rel=1e-9)
    falling = [learning_rate(step, optim) for step in range(4, 105)]
    assert falling == sorted(falling, reverse=True)
    assert learning_rate(0, OptimRecipe(lr=1e-3, warmup=0)) == 1e-3


def test_only_some_parts_learn(setup: Setup, make_spec: MakeSpec) -> None:
    name = next(iter(weights(setup.trainer(make_spec(), "any").network)))
    part = name.partition(".")[0]
    trainer = setup.trainer(make_spec(f"training.only=[{part}]"))
    before = weights(trainer.network)
    trainer.run(ignore)
    after = weights(trainer.network)
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert changed == {n for n in before if n.startswith(part)} != set(before)


def test_a_part_that_is_not_there(setup: Setup, make_spec: MakeSpec) -> None:
    with pytest.raises(ConfigError, match=r"no part 'memroy'; there are: "):
        setup.trainer(make_spec("training.only=[memroy]"))


def test_a_short_run(setup: Setup, make_spec: MakeSpec) -> None:
    trainer = setup.trainer(make_spec(), scores=Scores(1.0, 2.0))
    before, reports = weights(trainer.network), []
    trainer.run(reports.append)
    assert [p.step for p in reports] == [1, 2, 3, 4, 5, 6]
    assert all(p.steps == 6 for p in reports)
    assert {"final", "stage0", "streak_att", "drop_att"} <= reports[0].losses.keys()
    assert all(math.isfinite(v) for p in reports for v in p.losses.values())
    assert [p.best for p in reports] == [-math.inf, -math.inf, 1.0, 1.0, 1.0, 2.0]
    assert reports[-1].validation == {"score": 2.0}
    after, average = weights(trainer.network), weights(trainer.average)
    for name in before:
        assert not torch.equal(after[name], before[name]), name
        assert not torch.equal(average[name], after[name]), name
    assert {p.name for p in trainer.folder.iterdir()} == {
        *("last.ckpt", "best.ckpt", "log.jsonl"),
        *("step-00000003.ckpt", "step-00000006.ckpt"),
    }
    assert [p.saved for p in reports] == [False, False, True, False, False, True]
    log = [json.loads(line) for line in (trainer.folder / "log.jsonl").read_text().splitlines()]
    assert log == [{"step": 3, "score": 1.0}, {"step": 6, "score": 2.0}]


def test_training_lowers_the_loss_on_one_sample(setup: Setup, make_spec: MakeSpec) -> None:
    spec = make_spec(
        *("training.data.dry=0", "training.data.frames=1", "training.data.batch=1"),
        *("training.optim.steps=30", "training.validate_every=100"),
    )
    trainer = setup.trainer(spec)
    first = trainer.clips.sample(0)
    trainer.clips = SimpleNamespace(sample=lambda index: first)
    losses = []
    trainer.run(lambda p: losses.append(sum(p.now.values())))
    assert losses[-1] < 0.8 * losses[0]


def test_the_state_is_carried_through_a_clip_and_no_further(
    setup: Setup, make_spec: MakeSpec
) -> None:
    trainer = setup.trainer(make_spec("training.data.frames=4", "training.data.backprop=2"))
    fresh: list[bool] = []
    trainer.network.register_forward_pre_hook(lambda _, inputs: fresh.append(inputs[1] is None))
    trainer.run(ignore)
    assert fresh == 3 * [True, False, False, False]  # six steps of two frames each


def test_the_best_weights_are_kept(setup: Setup, make_spec: MakeSpec) -> None:
    trainer = setup.trainer(make_spec("training.validate_every=2"), scores=Scores(1.0, 5.0, 3.0))
    kept: dict[int, dict[str, Tensor]] = {}
    trainer.run(lambda p: kept.update({p.step: weights(trainer.average)}))
    best = load_checkpoint(trainer.folder / "best.ckpt")["network"]
    assert trainer.best == 5.0
    for name, value in kept[4].items():
        assert torch.equal(best[name], value)
    assert not torch.equal(best["stem.weight"], kept[6]["stem.weight"])


@pytest.mark.parametrize("steps", [1, 5, 6])
def test_a_run_ends_at_its_last_step(setup: Setup, make_spec: MakeSpec, steps: int) -> None:
    """In the middle of a clip, too."""
    scores, seen = Scores(1.0), []
    spec = make_spec(f"training.optim.steps={steps}", "training.validate_every=100")
    setup.trainer(spec, scores=scores).run(lambda p: seen.append(p.step))
    assert seen == list(range(1, steps + 1))
    assert scores.calls == 1


@pytest.mark.parametrize("stop", [2, 3])
def test_a_resumed_run_is_an_uninterrupted_one(
    setup: Setup, make_spec: MakeSpec, stop: int
) -> None:
    """After a whole clip (two steps each), and in the middle of one, with its state."""
    spec = make_spec(f"training.save_every={stop}", "training.validate_every=6")
    whole = setup.trainer(spec, "whole", scores=Scores(2.0))
    whole.run(ignore)

    with pytest.raises(Stopped):
        setup.trainer(spec, "parts").run(stop_after(stop))
    rest = setup.trainer(spec, "parts", scores=Scores(2.0), seed=1)
    rest.resume()
    assert rest.step == stop
    steps = []
    rest.run(lambda p: steps.append(p.step))
    assert steps == list(range(stop + 1, 7))
    for ours, expected in ((rest.network, whole.network), (rest.average, whole.average)):
        wanted = weights(expected)
        for name, value in weights(ours).items():
            torch.testing.assert_close(value, wanted[name], atol=1e-6, rtol=0)


def test_a_batch_of_another_size_goes_on_with_the_next_clips(
    setup: Setup, make_spec: MakeSpec
) -> None:
    with pytest.raises(Stopped):
        setup.trainer(make_spec("training.save_every=3")).run(stop_after(3))
    checkpoint = setup.out / "run" / "last.ckpt"
    saved = load_checkpoint(checkpoint)
    del saved["settings"]  # as an older version left it: the run goes on with any
    save_checkpoint(checkpoint, saved)
    rest = setup.trainer(make_spec("training.data.batch=4", "training.optim.steps=5"))
    rest.resume()
    assert (rest.step, rest.sample, rest.part) == (3, 4, 0)
    assert load_checkpoint(checkpoint)["settings"] == rest.settings
    rest.run()
    assert (rest.step, rest.sample, rest.part) == (5, 8, 0)


def test_old_checkpoints_give_way_and_the_best_one_stays(setup: Setup, make_spec: MakeSpec) -> None:
    spec = make_spec("training.save_every=1", "training.keep_last=2", "training.validate_every=2")
    trainer = setup.trainer(spec, scores=Scores(3.0, 1.0))
    trainer.run(ignore)
    kept = sorted(p.name for p in trainer.folder.glob("step-*"))
    assert kept == ["step-00000005.ckpt", "step-00000006.ckpt"]
    assert load_checkpoint(trainer.checkpoint)["step"] == 6
    best = load_checkpoint(trainer.folder / "best.ckpt")
    assert (best["step"], best["scores"]) == (2, {"score": 3.0})


def test_ctrl_c_finishes_the_step_and_saves(setup: Setup, make_spec: MakeSpec) -> None:
    trainer = setup.trainer(make_spec())
    with pytest.raises(KeyboardInterrupt):
        trainer.run(lambda p: signal.raise_signal(signal.SIGINT) if p.step == 1 else None)
    assert load_checkpoint(trainer.checkpoint)["step"] == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_parts_of_a_batch_add_up_to_it(setup: Setup, make_spec: MakeSpec) -> None:
    curves = []
    for parts in (1, 2):
        curve: list[float] = []
        trainer = setup.trainer(make_spec(f"training.optim.accumulate={parts}"), str(parts))
        trainer.run(lambda p, curve=curve: curve.append(sum(p.now.values())))
        curves.append(curve)
    assert curves[0] == pytest.approx(curves[1], abs=1e-6)
    with pytest.raises(ConfigError, match="accumulate"):
        setup.trainer(make_spec("training.optim.accumulate=3"))


def test_a_checkpoint_of_another_network_is_refused(setup: Setup, make_spec: MakeSpec) -> None:
    spec = make_spec("training.optim.steps=1")
    setup.trainer(spec).run(ignore)
    other = setup.trainer(spec)
    other.network = DAM()
    with pytest.raises(ModelError, match=r"last\.ckpt"):
        other.resume()


def test_there_is_nothing_to_resume(setup: Setup, make_spec: MakeSpec) -> None:
    with pytest.raises(ModelError, match="no checkpoint"):
        setup.trainer(make_spec()).resume()


def test_a_loss_that_is_not_a_number_stops_the_run(setup: Setup, make_spec: MakeSpec) -> None:
    trainer = setup.trainer(make_spec())
    with torch.no_grad():
        trainer.network.coarse_image.bias[0] = math.nan
    with pytest.raises(ModelError, match="nan at step 0") as caught:
        trainer.run(ignore)
    saved = trainer.folder / "nan-batch.ckpt"
    assert str(saved) in str(caught.value)
    batch, sample = load_checkpoint(saved), trainer.clips.sample(0)
    assert batch.keys() == sample.keys()
    for name, value in sample.items():
        assert torch.equal(batch[name][0], value[:1])
    assert not trainer.checkpoint.exists()


def test_a_gradient_that_is_not_a_number_leaves_the_weights(
    setup: Setup, make_spec: MakeSpec
) -> None:
    """Of a loss that is one."""
    trainer = setup.trainer(make_spec())
    before = weights(trainer.network)
    trainer.network.coarse_image.bias.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(ModelError, match=r"gradient's norm became (nan|inf) at step 0") as caught:
        trainer.run(ignore)
    assert str(trainer.folder / "nan-batch.ckpt") in str(caught.value)
    assert load_checkpoint(trainer.folder / "nan-batch.ckpt").keys() >= {"rainy", "clean"}
    for name, value in weights(trainer.network).items():
        assert torch.equal(value, before[name]), name


def test_a_score_that_is_not_a_number_stops_the_run(setup: Setup, make_spec: MakeSpec) -> None:
    trainer = setup.trainer(make_spec(), scores=Scores(1.0, math.nan))
    with pytest.raises(ModelError, match="score of the validation became nan at step 6") as caught:
        trainer.run(ignore)
    assert "--resume" in str(caught.value) and "optim.lr" in str(caught.value)
    assert load_checkpoint(trainer.checkpoint)["step"] == 3  # not the weights that it is of
    assert load_checkpoint(trainer.folder / "nan-weights.ckpt")["step"] == 6
    assert "NaN" not in (trainer.folder / "log.jsonl").read_text()
    # and with a lower rate the run may go on
    lower = setup.trainer(make_spec("training.optim.lr=1e-4"), scores=Scores(2.0))
    lower.resume()
    lower.run(ignore)
    assert (lower.step, lower.best) == (6, 2.0)


def test_bf16_trains(setup: Setup, make_spec: MakeSpec) -> None:
    trainer = setup.trainer(make_spec("training.precision=bf16", "training.optim.steps=2"))
    before = weights(trainer.network)
    trainer.run(ignore)
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())
    assert not torch.equal(trainer.network.stem.weight, before["stem.weight"])
