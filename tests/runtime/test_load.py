import hashlib
import shutil

import pytest
import torch
import yaml
from safetensors.torch import save_file

from rainclear import list_models, load_model
from rainclear.config import ArchitectureSpec
from rainclear.errors import ConfigError, ModelError
from rainclear.runtime.load import build_network
from rainclear.zoo import find_model


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def edit(folder, **changes) -> None:
    """Change model.yaml by dotted keys; two underscores stand for a dot."""
    file = folder / "model.yaml"
    data = yaml.safe_load(file.read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = data
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = value
    file.write_text(yaml.safe_dump(data))


def reseal(folder) -> None:
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    edit(folder, weights__sha256=digest)


def test_a_folder_gives_a_folded_network_in_evaluation_mode(tiny_model):
    network = load_model(str(tiny_model))
    assert not network.training
    assert not any(name.endswith((".point", ".edge")) for name in network.state_dict())
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 16, 24)).image.shape == (1, 3, 16, 24)


def test_the_package_ships_d_daiam_rt():
    assert "d-daiam-rt" in [folder.spec.name for folder in list_models()]
    assert find_model("d-daiam-rt").spec.architecture.network == "d-daiam-rt"


def test_the_weights_that_ship_say_their_licence():
    shipped = [folder.spec.weights for folder in list_models() if folder.spec.weights]
    assert shipped and all(weights.licence == "Apache-2.0" for weights in shipped)


def test_unknown_model_lists_those_that_there_are():
    with pytest.raises(ModelError, match=r"no model named 'd-daiam-x'; there are: .*d-daiam-rt"):
        load_model("d-daiam-x")


def test_altered_weights(model):
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="does not match the checksum") as caught:
        load_model(str(model))
    assert str(weights) in str(caught.value)


def test_weights_cut_off(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="does not match the checksum"):
        load_model(str(model))
    reseal(model)
    with pytest.raises(ModelError, match="do not fit 'tiny'"):
        load_model(str(model))


def test_missing_weight_file(model):
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights of model 'tiny' are missing: .*safetensors"):
        load_model(str(model))


def test_model_without_weights_says_how_to_get_them(model):
    file = model / "model.yaml"
    data = yaml.safe_load(file.read_text())
    del data["weights"]
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(
        ModelError, match=r"ships without weights.*rainclear train tiny --data DIR -o OUT"
    ):
        load_model(str(model))


def test_weights_of_another_network(model):
    save_file({"conv.weight": torch.zeros(3)}, model / "model.safetensors")
    reseal(model)
    with pytest.raises(ModelError, match=r"do not fit 'tiny': (Missing|Unexpected) key") as caught:
        load_model(str(model))
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 500


def test_weights_of_another_width(model):
    edit(model, architecture__options={"hidden": 8})
    with pytest.raises(ModelError, match="do not fit 'tiny': size mismatch"):
        load_model(str(model))


def test_unknown_network(model):
    edit(model, architecture__network="d-daiam-tr")
    with pytest.raises(ConfigError, match=r"'d-daiam-tr'; there are: .*d-daiam-rt"):
        load_model(str(model))


def test_unknown_option_of_a_network_gives_the_nearest_name(model):
    edit(model, architecture__options={"hiden": 16})
    with pytest.raises(ConfigError, match="unknown option 'hiden'; did you mean 'hidden'"):
        load_model(str(model))


def test_option_unlike_any_lists_those_that_there_are():
    with pytest.raises(ConfigError, match=r"unknown option 'zzz'; known: .*hidden"):
        build_network(ArchitectureSpec(network="d-daiam-rt", options={"zzz": 1}))
    with pytest.raises(ConfigError, match=r"network 'dam'.*'zzz'"):
        build_network(ArchitectureSpec(network="dam", options={"zzz": 1}))


def test_a_hint_is_a_name_that_is_close():
    with pytest.raises(ConfigError, match=r"unknown option 'leaning'; known: .*hidden"):
        build_network(ArchitectureSpec(network="d-daiam-rt", options={"leaning": 1}))


@pytest.mark.parametrize("value", ["wide", -1, None])
def test_option_with_an_impossible_value(value):
    with pytest.raises(ConfigError, match="network 'd-daiam-rt'"):
        build_network(ArchitectureSpec(network="d-daiam-rt", options={"hidden": value}))


def test_unknown_key_of_model_yaml_gives_the_nearest_name(model):
    edit(model, sumary="rain")
    with pytest.raises(ConfigError, match=r"model.yaml: .*'sumary'.*'summary'"):
        load_model(str(model))


def test_model_yaml_that_is_not_yaml(model):
    (model / "model.yaml").write_text("name: [unclosed")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_model(str(model))
