import pytest


def test_the_answer_says_which_side_is_which(rainclear, tiny_model, tmp_path):
    out = tmp_path / "net.ts"
    result = rainclear("export", tiny_model, "-o", out, "--size", "64x48")
    assert result.code == 0
    assert f"{out}: torchscript fp32, height 64, width 48; largest" in result.out


@pytest.mark.parametrize("option", [("--format", "onnx"), ("--dynamic",), ("--half",)])
def test_options_of_a_file_need_a_file(rainclear, tiny_model, make_picture, option):
    error = rainclear("export", tiny_model, "--int8", "--calibrate", make_picture(), *option).error
    assert option[0] in error and "give --out FILE" in error


def test_the_size_of_clips_that_tell_ranges(rainclear, tiny_model, make_picture, monkeypatch):
    from rainclear.errors import ModelError
    from rainclear.export import int8_backend

    def keep(model, clips, *, size):
        raise ModelError(f"seen {size}")

    monkeypatch.setattr(int8_backend, "keep_int8", keep)
    options = ("--int8", "--calibrate", make_picture())
    assert "seen (360, 640)" in rainclear("export", tiny_model, *options).error
    assert "seen (48, 64)" in rainclear("export", tiny_model, *options, "--size", "48x64").error
    error = rainclear("export", tiny_model, *options, "--size", "50x64").error
    assert "50x64: network 'd-daiam-rt' takes multiples of 8" in error


def test_nothing_to_do(rainclear, tiny_model):
    assert "give --out FILE, or --int8" in rainclear("export", tiny_model).error


def test_the_suffix_of_another_format(rainclear, tiny_model, tmp_path, files_in):
    options = ("--size", "48x64", "--format")
    error = rainclear("export", tiny_model, "-o", tmp_path / "c.xml", *options, "onnx").error
    assert "end the name in .onnx, or give --format openvino" in error
    error = rainclear("export", tiny_model, "-o", tmp_path / "x.json", *options, "tensorrt").error
    assert "end the name in .engine" in error
    assert files_in(tmp_path) == set()
