"""A run from recipe to model folder."""

import hashlib
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from rainclear.config import GateSpec, ModelSpec, WeightsSpec
from rainclear.errors import ConfigError, InputError, ModelError, OutputError
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.reparam import RepConv2d
from rainclear.runtime.load import build_network, load_model
from rainclear.training.checkpoint import load_checkpoint
from rainclear.training.progress import Progress
from rainclear.training.run import (
    export_model,
    keep_first,
    read_recipe,
    start_network,
    train_model,
)
from rainclear.zoo import find_model

MakeSpec = Callable[..., ModelSpec]


def stirred(spec: ModelSpec) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(spec.architecture)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, RepConv2d):
                module.point.normal_(std=0.05)
                module.edge.normal_(std=0.05)
        network.refine_image.weight.normal_(std=0.05)
    return network.to(memory_format=torch.channels_last).eval()


@torch.no_grad()
def test_an_exported_model_is_the_network(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    network, x = stirred(spec), torch.rand(1, 3, 16, 24)
    names = set(network.state_dict())
    out = export_model(network, spec, tmp_path / "models" / "tiny")
    assert {p.name for p in out.iterdir()} == {"model.yaml", "model.safetensors"}
    assert set(network.state_dict()) == names  # the one at hand is not folded

    described = yaml.safe_load((out / "model.yaml").read_text())
    digest = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    assert described["weights"]["sha256"] == digest
    assert described["architecture"] == spec.architecture.model_dump()
    assert read_recipe(str(out / "model.yaml"), []).training == spec.training

    loaded, expected = load_model(str(out)), network(x)
    assert not any(name.endswith((".point", ".edge")) for name in loaded.state_dict())
    first = loaded(x)
    torch.testing.assert_close(first.image, expected.image, atol=1e-5, rtol=0)
    assert (expected.image - x).abs().mean() > 0.01
    second = loaded(x.flip(3), first.state).image
    torch.testing.assert_close(second, network(x.flip(3), expected.state).image, atol=1e-5, rtol=0)


def test_new_weights_have_no_licence_and_no_gate_of_others(
    tmp_path: Path, make_spec: MakeSpec
) -> None:
    gate = GateSpec(weights_sha256="0" * 64, bias=0.0)
    spec = make_spec().model_copy(
        update={"gate": gate, "weights": WeightsSpec(sha256="0" * 64, licence="Apache-2.0")}
    )
    out = export_model(stirred(spec), spec, tmp_path / "tiny")
    described = yaml.safe_load((out / "model.yaml").read_text())
    assert set(described["weights"]) == {"file", "sha256"} and "gate" not in described
    own = gate.model_copy(update={"weights_sha256": described["weights"]["sha256"]})
    export_model(stirred(spec), spec.model_copy(update={"gate": own}), out)
    assert find_model(str(out)).spec.gate == own


def test_altered_weights_are_refused(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    out = export_model(build_network(spec.architecture), spec, tmp_path / "tiny")
    weights = bytearray((out / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (out / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="checksum"):
        load_model(str(out))


def test_an_export_over_an_older_one(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec()
    out = export_model(build_network(spec.architecture), spec, tmp_path / "tiny")
    export_model(stirred(spec), spec, out)
    assert load_model(str(out)) is not None
    before = (out / "model.safetensors").read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError("killed")

    monkeypatch.setattr(Path, "replace", fail)  # everything up to the renaming is done
    with pytest.raises(OutputError, match="killed"):
        export_model(build_network(spec.architecture), spec, out)
    assert (out / "model.safetensors").read_bytes() == before
    assert {p.name for p in out.iterdir()} == {"model.yaml", "model.safetensors"}


def test_training_starts_from_a_finished_model(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    trained = stirred(spec)
    out = export_model(trained, spec, tmp_path / "tiny")
    network = build_network(spec.architecture)
    start_network(network, str(out))
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x).image, trained(x).image, atol=1e-5, rtol=0)


def test_training_does_not_start_from_another_network(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    out = export_model(build_network(spec.architecture), spec, tmp_path / "tiny")
    with pytest.raises(ModelError, match="another network"):
        start_network(RealtimeDDAiAM(deep_channels=32), str(out))
    with pytest.raises(ModelError, match="another network"):
        start_network(torch.nn.Conv2d(3, 3, 3), str(out))


def test_a_cascade_keeps_the_first_network_s_weights(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    first = export_model(stirred(spec), spec, tmp_path / "first")
    cascade = make_spec("architecture.network=d-daiam-u", f"training.first_from={first}")
    options = {"widths": [8, 8, 8, 8], "blocks": [1, 1, 1, 1], "refine": [1, 1], "hidden": 4}
    options["first"] = spec.architecture.options
    architecture = cascade.architecture.model_copy(update={"options": options})
    cascade = cascade.model_copy(update={"architecture": architecture})
    out = train_model(cascade, data_folder, tmp_path / "out", tensorboard=False)
    found, kept = load_model(str(out)).first.state_dict(), load_model(str(first)).state_dict()
    assert all(torch.equal(found[name], kept[name]) for name in kept)

    alone = make_spec(f"training.first_from={first}")
    with pytest.raises(ConfigError, match=r"architecture\.options\.first"):
        train_model(alone, data_folder, tmp_path / "alone")
    network = build_network(cascade.architecture)
    with pytest.raises(ModelError, match="is not what"):
        keep_first(network, str(out))


def test_training_starts_without_a_veil(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    trained = stirred(spec)
    out = export_model(trained, spec, tmp_path / "tiny")
    network = build_network(make_spec("architecture.options.veil=true").architecture)
    start_network(network, str(out))
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(x).image, trained(x).image, atol=1e-5, rtol=0)


def test_a_run_leaves_a_model(data_folder: Path, tmp_path: Path, make_spec: MakeSpec) -> None:
    out, steps = tmp_path / "out", []
    assert out == train_model(
        make_spec(), data_folder, out, report=lambda p: steps.append(p.step), tensorboard=False
    )
    assert steps == [1, 2, 3, 4, 5, 6]
    left = {"last.ckpt", "best.ckpt", "log.jsonl", "losses.jsonl", "report.html", "model.yaml"}
    assert left <= {p.name for p in out.iterdir()}
    assert not (out / "tensorboard").exists()
    best = build_network(make_spec().architecture)
    best.load_state_dict(load_checkpoint(out / "best.ckpt")["network"])
    x = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        image = load_model(str(out))(x).image
        torch.testing.assert_close(image, best.eval()(x).image, atol=1e-5, rtol=0)

    with pytest.raises(OutputError, match="--resume"):
        train_model(make_spec(), data_folder, out)
    report = (out / "report.html").read_text()
    assert "<img" in report
    train_model(make_spec(), data_folder, out, resume=True, tensorboard=False)  # all is done
    assert (out / "report.html").read_text() == report
    longer = make_spec("training.optim.steps=8")
    train_model(longer, data_folder, out, resume=True, tensorboard=False)
    assert load_checkpoint(out / "last.ckpt")["step"] == 8


def test_a_run_that_ends_before_its_first_validation(
    data_folder: Path, tmp_path: Path, make_spec: MakeSpec
) -> None:
    out = tmp_path / "out"

    def stop(progress: Progress) -> None:
        if progress.step == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_model(make_spec(), data_folder, out, report=stop, tensorboard=False)
    shorter = make_spec("training.optim.steps=2")
    with pytest.raises(ModelError, match=r"best\.ckpt is missing, .* more optim\.steps"):
        train_model(shorter, data_folder, out, resume=True, tensorboard=False)


def test_the_seed_decides_the_run(data_folder: Path, tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec("training.optim.steps=2")
    for name in "ab":
        train_model(spec, data_folder, tmp_path / name, tensorboard=False)
    other = make_spec("training.optim.steps=2", "training.optim.seed=1")
    train_model(other, data_folder, tmp_path / "c", tensorboard=False)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    ("model", "joint"),
    [(name, True) for name in ("dam", "dam-odd", "dam-zero", "d-dam")]
    + [(name, False) for name in ("daiam", "daiam-daiam", "d-daiam", "d-daiam-3", "d-daiam-rt")],
)
def test_networks_with_one_branch_learn_from_the_mask_of_all_rain(model: str, joint: bool) -> None:
    recipe = read_recipe(model, []).training
    assert recipe is not None and recipe.data.joint_mask == joint


def test_what_train_model_refuses(data_folder: Path, tmp_path: Path, make_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match="nowhere"):
        train_model(make_spec(), tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ModelError, match="no checkpoint"):
        train_model(make_spec(), data_folder, tmp_path / "out", resume=True)
    with pytest.raises(ConfigError, match="no training recipe"):
        train_model(
            make_spec().model_copy(update={"training": None}), data_folder, tmp_path / "out"
        )
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        train_model(make_spec(), data_folder, tmp_path / "file")


def test_shipped_recipes_can_be_read() -> None:
    spec = read_recipe("d-daiam-rt", ["training.optim.steps=5"])
    assert spec.training is not None
    assert spec.training.optim.steps == 5
    build_network(spec.architecture)
    assert read_recipe("d-daiam-rt", ["optim.steps=5", "precision=fp32"]) == spec
    with pytest.raises(ConfigError, match=r"'training\.optim\.lrr'; did you mean 'lr'"):
        read_recipe("d-daiam-rt", ["optim.lrr=5"])


def test_recipes_that_cannot(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="d-daiam-rt"):
        read_recipe("d-daim-rt", [])
    bare = tmp_path / "bare.yaml"
    bare.write_text("name: a\nsummary: b\narchitecture: {network: dam}\n")
    with pytest.raises(ConfigError, match="no section 'training'"):
        read_recipe(str(bare), [])
    with pytest.raises(ConfigError, match=r"bare\.yaml: unknown setting 'nmae'"):
        read_recipe(str(bare), ["nmae=x"])
    with pytest.raises(ConfigError, match="cannot read"):
        read_recipe(str(tmp_path / "none.yaml"), [])


def test_packed_weights_are_nearly_the_same(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec("training.pack=true")
    trained = stirred(spec)
    out = export_model(trained, spec, tmp_path / "packed")
    plain = export_model(trained, make_spec(), tmp_path / "plain")
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            load_model(str(out))(x).image, trained(x).image, atol=0.02, rtol=0
        )
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (out, plain)]
    assert sizes[0] < 0.8 * sizes[1]
