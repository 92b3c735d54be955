"""Settings: typed, complete, and named in what goes wrong."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rainclear.config import (
    DataRecipe,
    LossRecipe,
    ModelSpec,
    OptimRecipe,
    TrainingRecipe,
    load_yaml,
    parse,
    with_overrides,
)
from rainclear.errors import ConfigError


def settings() -> dict:
    return {
        "name": "tiny",
        "summary": "a test",
        "architecture": {"network": "d-daiam-rt"},
        "training": {
            "data": {"include": ["a/*.png"], "validation": ["b/*.png"]},
            "optim": {"lr": 1e-3},
        },
    }


def refused(data: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(ModelSpec, data, source="recipe.yaml")
    message = str(caught.value)
    assert message.startswith("recipe.yaml: ")
    return message


def test_a_recipe_is_typed() -> None:
    spec = parse(ModelSpec, settings(), source="recipe.yaml")
    assert spec.training is not None
    assert spec.training.data.include == ("a/*.png",)
    assert spec.training.optim == OptimRecipe(lr=1e-3)
    assert spec.weights is None


def test_the_paper_s_weights_are_the_defaults() -> None:
    losses = LossRecipe()
    assert (losses.attention, losses.heavy, losses.light) == (0.8, 1.0, 0.3)
    assert (losses.final, losses.stages, losses.image) == (1.0, 1.0, "mse")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        OptimRecipe().lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("sumary", "summary"),
        ("architecture.netwrok", "network"),
        ("training.data.corp", "crop"),
        ("training.optim.final_rl", "final_lr"),
        ("training.losses.atention", "attention"),
        ("training.validate_evry", "validate_every"),
        ("optimm", "training.optim"),  # as --set takes it, without "training."
        ("loss", "training.losses"),
        ("validate_evry", "training.validate_every"),
        ("trainin", "training"),
        ("netwrok", "architecture.network"),
    ],
)
def test_an_unknown_setting_names_the_nearest(path: str, nearest: str) -> None:
    message = refused(with_overrides(settings(), [f"{path}=1"]))
    assert repr(path) in message
    assert f"did you mean {nearest!r}?" in message


def test_an_unknown_setting_like_no_other_lists_all() -> None:
    for path in ("training.optim.zzz", "training.optim.leaning"):
        message = refused(with_overrides(settings(), [f"{path}=1"]))
        assert repr(path) in message and "did you mean" not in message
        assert all(name in message for name in OptimRecipe.model_fields)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("training.data.crop=16", "greater than or equal to 32"),
        ("training.data.crop=100", "multiple of 8"),
        ("training.data.dry=1.5", "less than or equal to 1"),
        ("training.optim.lr=0", "greater than 0"),
        ("training.optim.ema=1", "less than 1"),
        ("training.optim.steps=many", "integer"),
        ("training.precision=fp8", "'fp32' or 'bf16'"),
        ("training.data.include=[]", "at least 1 item"),
        ("training.data.validation=[]", "at least 1 item"),
    ],
)
def test_a_value_out_of_range(assignment: str, expected: str) -> None:
    message = refused(with_overrides(settings(), [assignment]))
    assert assignment.split("=")[0] + ": " in message
    assert expected in message


def test_a_missing_setting_is_named() -> None:
    data = settings()
    del data["training"]["data"]["include"]
    assert "training.data.include: Field required" in refused(data)


def test_overrides_are_typed() -> None:
    data = settings()
    assignments = [
        "training.optim.lr=2.5e-4",
        "training.optim.steps=7",
        "training.data.include=[x/*.jpg, y/*.mp4]",
        "training.losses.image=l1",
        "architecture.options.w=0.25",
        "architecture.options.deep=true",
        "summary=a=b",
    ]
    changed = with_overrides(data, assignments)
    spec = parse(ModelSpec, changed, source="recipe.yaml")
    assert spec.training is not None
    assert spec.training.optim.lr == 2.5e-4
    assert spec.training.optim.steps == 7
    assert spec.training.data.include == ("x/*.jpg", "y/*.mp4")
    assert spec.training.losses.image == "l1"
    assert spec.architecture.options == {"w": 0.25, "deep": True}
    assert spec.summary == "a=b"
    assert data == settings()  # what came in is left alone


@pytest.mark.parametrize("assignment", ["lr", "=3", "training.optim.lr.x=1", "a=[1", "name.x=1"])
def test_assignments_that_make_no_sense(assignment: str) -> None:
    with pytest.raises(ConfigError, match="--set") as caught:
        with_overrides(settings(), [assignment])
    assert assignment in str(caught.value)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_load_yaml(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, yaml.safe_dump(settings()))) == settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "not list"),
        ("", "not NoneType"),
        ("rain", "not str"),
        ("a: [1", "not valid YAML"),
        (b"a: \xff\xfe", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("a: !!python/object:rainclear.frame.Frame {}", "not valid YAML"),
    ],
)
def test_files_that_hold_no_settings(tmp_path: Path, text: str | bytes, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_yaml(path)
    assert str(path) in str(caught.value)


def test_missing_files(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read"):
            load_yaml(path)


def test_a_recipe_needs_its_data() -> None:
    with pytest.raises(ConfigError, match="data"):
        parse(TrainingRecipe, {}, source="x")
    assert DataRecipe(include=("*",), validation=("*",)).frames == 8
