from pathlib import Path


def test_an_existing_sheet_is_kept(rainclear, make_picture, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "how.png"
    command = ("explain", make_picture(), "-o", out, "--model", tiny_model, "--device", "cpu")
    assert rainclear(*command).code == 0
    before = out.read_bytes()
    assert rainclear(*command).error == f"{out}: exists already; give another name or --overwrite"
    assert out.read_bytes() == before
    assert rainclear(*command, "--overwrite").code == 0
