from pathlib import Path

import cv2
import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    from rainclear.config import ArchitectureSpec, ModelSpec
    from rainclear.runtime.load import build_network
    from rainclear.training.run import export_model

    torch.manual_seed(0)
    spec = ModelSpec(
        name="tiny-dual",
        summary="random weights",
        architecture=ArchitectureSpec(network="dprrn", options={"width": 2}),
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-dual"
    return export_model(build_network(spec.architecture), spec, folder)


@pytest.fixture
def pair(make_picture) -> list[Path]:
    return [make_picture("left.png"), make_picture("right.png")]


@pytest.fixture
def derain_dual(rainclear, model):
    def run(*arguments, model=model):
        options = ["--model", model, "--device", "cpu", "--precision", "fp32"]
        return rainclear("derain-dual", *arguments, *options)

    return run


def test_a_pair_with_its_mask(derain_dual, model, pair, files_in, tmp_path):
    from rainclear.runtime.dual import DualDerainer

    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    result = derain_dual(*pair, "-o", out, "--mask", mask)
    assert (result.code, result.err) == (0, "")
    assert f"{out}: water on" in result.out
    assert files_in(tmp_path) == {"left.png", "right.png", "out.png", "mask.png"}
    derainer = DualDerainer(str(model), device="cpu", precision="fp32")
    halves = [cv2.imread(str(path)) for path in pair]
    assert np.array_equal(cv2.imread(str(out)), derainer(*halves))
    expected = derainer.process(*(h[..., ::-1].copy() for h in halves)).mask
    assert np.abs(cv2.imread(str(mask), 0) - 255 * expected).max() <= 0.51


def test_tiles(derain_dual, pair, tmp_path):
    assert derain_dual(*pair, "-o", tmp_path / "out.png", "--tile", "128").code == 0
    assert "tile 100" in derain_dual(*pair, "-o", tmp_path / "o.png", "--tile", "100").error


def test_halves_of_two_sizes(derain_dual, make_picture, files_in, tmp_path):
    left, right = make_picture("left.png"), make_picture("right.png", size=(32, 32))
    error = derain_dual(left, right, "-o", tmp_path / "out.png").error
    assert str(left) in error and str(right) in error and "differ in size" in error
    assert files_in(tmp_path) == {"left.png", "right.png"}


def test_a_missing_half(derain_dual, pair, tmp_path):
    gone = tmp_path / "gone.png"
    assert f"{gone}: no such file" in derain_dual(pair[0], gone, "-o", tmp_path / "o.png").error


@pytest.mark.parametrize("taken", ["out.png", "mask.png"])
def test_existing_outputs(derain_dual, pair, tmp_path, taken):
    (tmp_path / taken).write_text("keep me")
    arguments = [*pair, "-o", tmp_path / "out.png", "--mask", tmp_path / "mask.png"]
    assert f"{tmp_path / taken}: exists already" in derain_dual(*arguments).error
    assert (tmp_path / taken).read_text() == "keep me"
    assert len(list(tmp_path.iterdir())) == 3  # nothing was half-done
    assert derain_dual(*arguments, "--overwrite").code == 0


def test_outputs_that_are_inputs_or_one_file(derain_dual, pair, tmp_path):
    before = pair[0].read_bytes()
    assert "is the input itself" in derain_dual(*pair, "-o", pair[0], "--overwrite").error
    out = tmp_path / "out.png"
    assert "two files" in derain_dual(*pair, "-o", out, "--mask", out).error
    assert pair[0].read_bytes() == before


def test_a_model_for_single_pictures(derain_dual, tiny_model, pair, tmp_path):
    error = derain_dual(*pair, "-o", tmp_path / "out.png", model=tiny_model).error
    assert "takes single pictures" in error and "rainclear derain" in error


@pytest.mark.parametrize("arguments", [[], ["l.png", "-o", "o.png"], ["l.png", "r.png"]])
def test_wrong_usage(rainclear, arguments):
    result = rainclear("derain-dual", *arguments)
    assert result.code == 2 and "Traceback" not in result.err and result.err
