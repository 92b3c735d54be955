from pathlib import Path

import cv2
import numpy as np
import pytest
import torch


def export_tiny(folder: Path, **options: object) -> Path:
    from rainclear.config import ArchitectureSpec, ModelSpec
    from rainclear.runtime.load import build_network
    from rainclear.training.run import export_model

    torch.manual_seed(0)
    spec = ModelSpec(
        name="tiny-dual",
        summary="random weights",
        architecture=ArchitectureSpec(network="dprrn", options={"width": 2} | options),
    )
    return export_model(build_network(spec.architecture), spec, folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export_tiny(tmp_path_factory.mktemp("models") / "tiny-dual")


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


def test_a_mask_that_is_no_picture(derain_dual, pair, files_in, tmp_path):
    arguments = [*pair, "-o", tmp_path / "out.png", "--mask", tmp_path / "mask.tga"]
    assert f"{tmp_path / 'mask.tga'}: is no name of a picture" in derain_dual(*arguments).error
    assert files_in(tmp_path) == {"left.png", "right.png"}


def test_the_published_picture(derain_dual, model, pair, tmp_path):
    from rainclear.runtime.dual import DualDerainer

    out = tmp_path / "out.png"
    assert derain_dual(*pair, "-o", out, "--no-keep-dry").code == 0
    derainer = DualDerainer(str(model), device="cpu", precision="fp32", keep_dry=False)
    assert np.array_equal(cv2.imread(str(out)), derainer(*(cv2.imread(str(p)) for p in pair)))


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


def test_a_single_picture_is_taken_by_the_ablation(rainclear, make_picture, tmp_path):
    """Its option ``single`` is the network for the picture that a common sensor takes."""
    alone = export_tiny(tmp_path / "alone", single=True)
    out = tmp_path / "out.png"
    command = ("derain", make_picture("in.png"), "-o", out, "--model", alone, "--device", "cpu")
    assert rainclear(*command).code == 0
    assert out.is_file()


def test_a_model_for_single_pictures(derain_dual, tiny_model, pair, tmp_path):
    error = derain_dual(*pair, "-o", tmp_path / "out.png", model=tiny_model).error
    assert "takes single pictures" in error and "rainclear derain" in error


@pytest.mark.parametrize(
    "command",
    [
        ("derain", "left.png", "-o", "out.png", "--model"),
        ("derain", "in.mp4", "-o", "out.mp4", "--model"),
        ("derain", "left.png", "-o", "out", "--engine", "ray", "--model"),
        ("explain", "left.png", "-o", "out.png", "--model"),
        ("export", "-o", "out.onnx"),
        ("bench", "-o", "out", "--size", "64x48", "--model"),
        ("doctor", "--size", "64x48", "--model"),
    ],
    ids=["picture", "video", "engine", "explain", "export", "bench", "doctor"],
)
def test_a_single_picture_is_refused(
    rainclear, model, make_picture, make_video, files_in, tmp_path, monkeypatch, command
):
    make_picture("left.png"), make_video("in.mp4", pts=range(2))
    monkeypatch.chdir(tmp_path)
    error = rainclear(*command, model).error
    assert str(model) in error and "takes dual-pixel halves, not single pictures" in error
    assert f"use it with: rainclear derain-dual LEFT RIGHT -o OUT --model {model}" in error
    assert files_in(tmp_path) == {"left.png", "in.mp4"}


@pytest.mark.parametrize("arguments", [[], ["l.png", "-o", "o.png"], ["l.png", "r.png"]])
def test_wrong_usage(rainclear, arguments):
    result = rainclear("derain-dual", *arguments)
    assert result.code == 2 and "Traceback" not in result.err and result.err
