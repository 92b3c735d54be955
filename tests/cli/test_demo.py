import av
import pytest


def demo(rainclear, tiny_model, out, *more):
    fixed = ["--frames", 4, "--model", tiny_model, "--device", "cpu", "--out", out]
    return rainclear("demo", *fixed, *more)


@pytest.mark.slow
def test_demo_writes_its_three_files(rainclear, tiny_model, make_picture, files_in, tmp_path):
    out = tmp_path / "new" / "demo"
    result = demo(rainclear, tiny_model, out)
    assert (result.code, result.err) == (0, "")
    assert files_in(out) == {"rainy.mp4", "derained.mp4", "side-by-side.png"}
    assert all(f"wrote      {out / name}" in result.out for name in files_in(out))
    assert "dB rainy" in result.out and "640×360" in result.out
    for name in ("rainy.mp4", "derained.mp4"):
        with av.open(str(out / name)) as video:
            assert len(list(video.decode(video=0))) == 4
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert "exists already" in demo(rainclear, tiny_model, out).error
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    more = ["--overwrite", "--picture", make_picture("street.png")]
    assert "street.png" in demo(rainclear, tiny_model, out, *more).out


def test_unknown_rain(rainclear, tiny_model, files_in, tmp_path):
    error = demo(rainclear, tiny_model, tmp_path, "--rain", "frogs").error
    assert "frogs" in error and "moderate" in error
    assert files_in(tmp_path) == set()


def test_unknown_model(rainclear, files_in, tmp_path):
    result = rainclear("demo", "--frames", 4, "--model", "drain", "--out", tmp_path / "demo")
    assert "no model named 'drain'" in result.error
    assert files_in(tmp_path) == set()


def test_missing_picture(rainclear, tiny_model, tmp_path):
    result = demo(rainclear, tiny_model, tmp_path, "--picture", tmp_path / "gone.jpg")
    assert "gone.jpg: no such file" in result.error


def test_folder_that_cannot_be_made(rainclear, tiny_model, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be made" in demo(rainclear, tiny_model, tmp_path / "file" / "demo").error
