"""A smaller network learns to make a bigger one's pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rainclear.config import ModelSpec
from rainclear.errors import ConfigError, ModelError
from rainclear.nn.dam import DAM
from rainclear.nn.output import Derained, Stage
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.training import distill
from rainclear.training.chunk import Chunk
from rainclear.training.distill import Teacher, state_length
from rainclear.training.run import export_model, train_model

MakeSpec = Callable[..., ModelSpec]
DISTIL = ("training.losses.distill=0.5", "training.distill_from=teacher")


class Counting(nn.Module):
    """A stand-in that gives one level everywhere, and adds to it with every frame it has seen."""

    def __init__(self, level: float, step: float = 0.0) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))
        self.step = step

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        seen = x.new_zeros(len(x), 1) if state is None else state[0]
        image = (self.level + self.step * seen[..., None, None]).expand_as(x)
        return Derained(image, (seen + 1,), (Stage(image, None, None),))


def batch(frames: int, level: int = 0) -> dict[str, Tensor]:
    channels = {"rainy": 3, "clean": 3, "streaks": 1, "drops": 1}
    return {
        k: torch.full((2, frames, c, 8, 8), level, dtype=torch.uint8) for k, c in channels.items()
    }


def test_the_term_is_the_distance_to_the_teachers_picture(make_spec: MakeSpec) -> None:
    chunk = Chunk(Counting(0.4), make_spec(*DISTIL).training, teacher=Teacher(Counting(0.7)))
    loss, terms, _ = chunk(batch(2), None)
    expected = {"final": 0.16, "distill": 0.5 * 0.09}
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(expected, abs=1e-6)
    assert loss.item() == pytest.approx(sum(expected.values()), abs=1e-6)


def test_the_teacher_carries_its_own_state_from_part_to_part(make_spec: MakeSpec) -> None:
    """It gives 0.1, 0.2, 0.3 and 0.4; the student stays at 0, so the term is their mean square."""
    recipe = make_spec(*DISTIL).training
    chunk = Chunk(Counting(0.0), recipe, teacher=Teacher(Counting(0.1, step=0.1)))
    _, whole, _ = chunk(batch(4), None)
    assert float(whole["distill"]) == pytest.approx(0.5 * (0.01 + 0.04 + 0.09 + 0.16) / 4)
    _, first, state = chunk(batch(2), None)
    assert [float(s[0, 0]) for s in state] == [2.0, 2.0]
    _, second, _ = chunk(batch(2), state)
    parts = float(first["distill"] + second["distill"]) / 2
    assert parts == pytest.approx(float(whole["distill"]))


class Marking(nn.Module):
    """The frame, with 0.5 taken off its left half."""

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        assert state is None
        half = torch.zeros_like(x)
        half[..., : x.shape[-1] // 2] = 0.5
        return Derained(x - half, (), (Stage(x - half, None, None),))


def frame(level: float, *, odd: bool) -> Tensor:
    """A plain frame of even sum, or of odd sum by one value of its right edge."""
    levels = torch.full((1, 3, 8, 80), round(level * 255), dtype=torch.float32)
    levels[0, 0, 0, -1] += odd
    return levels / 255


def test_a_teacher_that_sees_frames_by_themselves_gives_the_truth_where_it_does_not_help() -> None:
    teacher = Teacher(Marking())
    clean = torch.full((1, 3, 8, 80), 0.3)  # the mark is nearer to it, the other half is not
    for odd, level in ((False, 0.4), (True, 0.3)):  # mirrored: marked on the right instead
        taught = teacher.alone(frame(0.9, odd=odd), clean)
        assert float(taught[0, 0, 4, 2]) == pytest.approx(level, abs=2e-3)
    dry = teacher.alone(clean, clean)
    assert torch.equal(dry, clean)


def test_half_the_frames_are_mirrored_the_same_in_any_batch() -> None:
    torch.manual_seed(2)
    rainy = (torch.rand(64, 3, 8, 80) * 255).round() / 255
    teacher = Teacher(Marking())
    whole = teacher.alone(rainy, rainy - 1)
    mirrored = (whole - rainy)[:, 0, 4, 2] < -0.75  # the truth there, not the mark
    assert 20 < int(mirrored.sum()) < 44
    for part in (1, 16):
        parts = [teacher.alone(x, x - 1) for x in rainy.split(part)]
        assert torch.equal(torch.cat(parts), whole)


class Halving(nn.Module):
    """The frame at half its brightness."""

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        return Derained(x / 2, (), (Stage(x / 2, None, None),))


def test_a_mirrored_frame_is_given_back_as_it_was() -> None:
    torch.manual_seed(1)
    rainy, teacher = torch.rand(8, 3, 8, 80), Teacher(Halving())
    assert torch.allclose(teacher.alone(rainy, rainy / 2 + 0.01), rainy / 2)


EVERY = ("training.distill_every=2", "training.data.frames=4", "training.data.backprop=4")


def test_every_second_frame_is_taught(make_spec: MakeSpec) -> None:
    """The student gives 0.4 to 0.7, the truth is 0; the teacher, at 0.1, is nearer than rain."""
    recipe = make_spec(*DISTIL, *EVERY).training
    chunk = Chunk(Counting(0.4, step=0.1), recipe, teacher=Teacher(Counting(0.1, step=0.1)))
    pictures = batch(4)
    pictures["rainy"] = torch.full_like(pictures["rainy"], 255)
    _, terms, state = chunk(pictures, None)
    second_and_fourth = 0.5 * 2 * (0.4**2 + 0.6**2) / 4
    assert float(terms["distill"]) == pytest.approx(second_and_fourth, abs=1e-6)
    assert len(state) == 1  # the teacher carries none
    _, _, state = chunk(pictures, (state[0], state[0]))
    assert len(state) == 1


def test_a_state_saved_without_a_teacher_still_serves(make_spec: MakeSpec) -> None:
    plain = Chunk(Counting(0.0), make_spec().training)
    _, _, state = plain(batch(1), None)
    taught = Chunk(Counting(0.0), make_spec(*DISTIL).training, teacher=Teacher(Counting(0.1)))
    _, _, longer = taught(batch(1), state)
    assert [float(s[0, 0]) for s in longer] == [2.0, 1.0]
    _, _, shorter = plain(batch(1), longer)
    assert [float(s[0, 0]) for s in shorter] == [3.0]


def test_the_teacher_stays_as_it_is(make_spec: MakeSpec) -> None:
    torch.manual_seed(0)
    teacher = Teacher(DAM())
    chunk = Chunk(Counting(0.4), make_spec(*DISTIL).training, teacher=teacher).train()
    assert not any(module.training for module in teacher.modules())
    before = [p.clone() for p in teacher.parameters()]
    chunk(batch(1), None)[0].backward()
    assert chunk.network.level.grad is not None
    for parameter, was in zip(teacher.parameters(), before, strict=True):
        assert not parameter.requires_grad and parameter.grad is None
        assert torch.equal(parameter, was)


@pytest.mark.parametrize(("network", "length"), [(DAM, 0), (RealtimeDDAiAM, 2)])
def test_state_length(network: Callable[[], nn.Module], length: int) -> None:
    student = network().train()
    assert state_length(student) == length
    assert student.training


def test_parts_of_a_batch_are_taught_as_the_whole(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Teacher, "load", lambda name: Teacher(Marking()))
    monkeypatch.setattr(distill, "_HELPS", 1e9)  # its mark is learnt everywhere
    curves = []
    for parts in (1, 2):
        curve: list[float] = []
        train_model(
            make_spec(
                *DISTIL,
                *EVERY,
                "training.data.batch=4",
                f"training.optim.accumulate={parts}",
            ),
            data_folder,
            tmp_path / str(parts),
            tensorboard=False,
            report=lambda p, curve=curve: curve.append(p.now["distill"]),
        )
        curves.append(curve)
    assert min(curves[0]) > 0
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


@pytest.mark.parametrize("extra", [(), (*EVERY[:2], "training.data.backprop=2")])
def test_a_run_with_a_teacher(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec, extra: tuple[str, ...]
) -> None:
    """Resumed in the middle of a clip: both states are in the checkpoint."""
    torch.manual_seed(0)
    teacher = RealtimeDDAiAM(deep_channels=32, hidden=8)
    wider = make_spec("architecture.options={deep_channels: 32, hidden: 8}")
    folder = export_model(teacher, wider, tmp_path / "teacher")
    options = ("training.losses.distill=0.5", f"training.distill_from={folder}")
    seen: dict[str, float] = {}

    def run(out: str, *overrides: str, resume: bool = False) -> Path:
        return train_model(
            make_spec(*options, *extra, *overrides),
            data_folder,
            tmp_path / out,
            resume=resume,
            tensorboard=False,
            report=lambda p: seen.update(p.now),
        )

    whole = run("whole", "training.optim.steps=4", "training.optim.final_lr=1e-3")
    assert seen["distill"] > 0
    for stop, resume in (("training.optim.steps=3", False), ("training.optim.steps=4", True)):
        parts = run("parts", stop, "training.optim.final_lr=1e-3", resume=resume)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


def test_what_is_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(ConfigError, match="set distill_from"):
        make_spec("training.losses.distill=1")
    with pytest.raises(ConfigError, match=r"distill_every=2 must divide data\.backprop=1"):
        make_spec(*DISTIL, "training.distill_every=2")
    with pytest.raises(ModelError, match="no model named 'teacher'"):
        Chunk(Counting(0.0), make_spec(*DISTIL).training)
    # Without weight, a teacher is not even loaded.
    Chunk(Counting(0.0), make_spec("training.distill_from=teacher").training)
