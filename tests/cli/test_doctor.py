import importlib
import json
import sys

import pytest


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RAINCLEAR_CACHE", str(tmp_path / "cache"))


def test_json(rainclear, tiny_model, tmp_path):
    options = ("--model", tiny_model, "--device", "cpu", "--size", "61x43")
    result = rainclear("doctor", *options, "--json")
    found = json.loads(result.out)
    assert found["size"] == [48, 64] and found["device"] == "cpu"
    assert found["machine"]["packages"]["torch"]
    assert set(found["machine"]["features"]) >= {
        "AVX-512",
        "AVX-512 bf16",
        "AVX-512 VNNI",
        "AMX bf16",
    }
    assert found["backends"]["eager"]["usable"]
    assert "NVIDIA" in found["backends"]["tensorrt"]["why"]
    assert found["auto"]["backend"] == "eager" and "not measured" in found["auto"]["reason"]
    assert found["cache"] == str(tmp_path / "cache")


def test_measured(rainclear, tiny_model):
    options = ("--model", tiny_model, "--device", "cpu", "--size", "64x48", "--json")
    measured = json.loads(rainclear("doctor", *options, "--measure").out)["auto"]
    assert "fastest" in measured["reason"]
    times = {row["backend"]: row["ms"] for row in measured["timings"] if row["ms"]}
    assert measured["backend"] == min(times, key=times.get)
    assert json.loads(rainclear("doctor", *options).out)["auto"] == measured


def test_when_and_under_what_load_it_was_measured(rainclear, tiny_model):
    options = ("--model", tiny_model, "--device", "cpu", "--size", "64x48")
    fresh = json.loads(rainclear("doctor", *options, "--json").out)["auto"]
    assert fresh["measured"] is None and fresh["load"] is None
    assert "measured 2" not in rainclear("doctor", *options).out
    measured = rainclear("doctor", *options, "--measure", "--json")
    auto = json.loads(measured.out)["auto"]
    assert measured.err == "" and auto["measured"].endswith("Z") and auto["load"] >= 0
    assert f"measured {auto['measured']}, at a load of" in rainclear("doctor", *options).out


@pytest.mark.parametrize("more", [(), ("--measure",), ("--json",)])
@pytest.mark.parametrize(
    ("precision", "message"),
    [("fp16", "not checked in fp16"), ("int3", "unknown precision 'int3'")],
)
def test_a_precision_that_cannot_be_is_an_error(rainclear, tiny_model, precision, message, more):
    options = ("--model", tiny_model, "--device", "cpu", "--size", "64x48")
    result = rainclear("doctor", *options, "--precision", precision, *more)
    assert message in result.error and result.out == ""


def test_a_broken_package_is_one_line(rainclear, tiny_model, make_picture, monkeypatch, tmp_path):
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text("raise OSError('no libtbb')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    for module in [m for m in sys.modules if m.partition(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, module)
    importlib.invalidate_caches()
    model = ("--model", tiny_model, "--device", "cpu")
    out = ("-o", tmp_path / "out.png", "--backend", "openvino")
    assert (
        "pip install --force-reinstall openvino"
        in rainclear("derain", make_picture(), *out, *model).error
    )
    result = rainclear("doctor", *model, "--size", "64x48", "--measure", "--json")
    found = json.loads(result.out)
    assert "no libtbb" in found["backends"]["openvino"]["why"]
    rows = {row["backend"]: row for row in found["auto"]["timings"]}
    assert "no libtbb" in rows["openvino"]["problem"] and rows["eager"]["ms"] > 0


def test_table(rainclear, tiny_model):
    result = rainclear("doctor", "--model", tiny_model, "--device", "cpu")
    assert result.code == 0
    for word in ("processor", "packages", "eager", "openvino", "auto, 1280x720"):
        assert word in result.out


@pytest.mark.parametrize("size", ["big", "0x5", "1280", "99999x5", "-1x5"])
def test_bad_size(rainclear, size):
    assert "WIDTHxHEIGHT" in rainclear("doctor", f"--size={size}").error


def test_export(rainclear, tiny_model, tmp_path):
    out = tmp_path / "net.ts"
    result = rainclear("export", tiny_model, "-o", out, "--size", "48x64")
    assert (result.code, result.err) == (0, "")
    assert f"{out}: torchscript fp32" in result.out and "random" in result.out
    assert "exists already" in rainclear("export", tiny_model, "-o", out).error
    assert (
        "multiples of 8"
        in rainclear("export", tiny_model, "-o", tmp_path / "b.ts", "--size", "50x64").error
    )


def test_derain_with_a_backend(rainclear, tiny_model, make_picture, tmp_path):
    source, out = make_picture(), tmp_path / "out.png"
    options = ("--model", tiny_model, "--device", "cpu")
    assert rainclear("derain", source, "-o", out, *options, "--backend", "eager").code == 0
    error = rainclear("derain", source, "-o", tmp_path / "b.png", *options, "--backend", "x").error
    assert "unknown backend 'x'" in error
