from pathlib import Path
from typing import Any

import pytest
import torch

from rainclear.errors import ModelError
from rainclear.training import checkpoint as module
from rainclear.training.checkpoint import load_checkpoint, save_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    state = {"step": 3, "best": float("-inf"), "network": {"w": torch.arange(4.0)}}
    save_checkpoint(tmp_path / "last.ckpt", state)
    loaded = load_checkpoint(tmp_path / "last.ckpt")
    assert loaded["step"] == 3
    assert loaded["best"] == float("-inf")
    assert torch.equal(loaded["network"]["w"], torch.arange(4.0))
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_write_that_fails_leaves_the_old_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {"step": 1})

    def half(state: Any, file: Any) -> None:
        file.write(b"PK half a check")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.torch, "save", half)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


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
