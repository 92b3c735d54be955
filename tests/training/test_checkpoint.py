import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from rainclear.errors import ModelError, OutputError
from rainclear.training import checkpoint as module
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint, save_step


def test_round_trip(tmp_path: Path) -> None:
    state = {"step": 3, "best": float("-inf"), "network": {"w": torch.arange(4.0)}}
    save_checkpoint(tmp_path / "last.ckpt", state)
    loaded = load_checkpoint(tmp_path / "last.ckpt")
    assert loaded["step"] == 3
    assert loaded["best"] == float("-inf")
    assert torch.equal(loaded["network"]["w"], torch.arange(4.0))
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process grows beyond 16 MiB, far more than a log of the tests has."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    save_step(tmp_path, 1, {"step": 1, "w": torch.zeros(9)}, keep=1)
    large = {"step": 2, "w": torch.zeros(2**22 + 9)}
    failure = pytest.raises(
        OutputError, match=r"step-00000002\.ckpt: cannot be written: File too large"
    )
    with failure, small_disk():
        save_step(tmp_path, 2, large, keep=1)
    assert load_checkpoint(tmp_path / "last.ckpt")["step"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {"last.ckpt", "step-00000001.ckpt"}


@pytest.mark.parametrize("links", [True, False])
def test_the_newest_steps_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*paths: Path) -> None:
        raise OSError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(module.os, "link", no_links)
    for step in (9, 10, 11, 12):
        save_step(tmp_path, step, {"step": step}, keep=3)
        assert load_checkpoint(tmp_path / "last.ckpt") == {"step": step}
    kept = sorted(p.name for p in tmp_path.iterdir())
    assert kept == ["last.ckpt", *(f"step-{step:08d}.ckpt" for step in (10, 11, 12))]


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no checkpoint .*last\.ckpt"):
        load_checkpoint(tmp_path / "last.ckpt")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code ran",))


def test_code_in_a_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"step": Trap()}, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt")
    assert "code ran" not in capsys.readouterr().out


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_text("rain")
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt")
