import itertools
import json
import xml.etree.ElementTree as ElementTree

import pytest

from rainclear.bench.growth import exponent
from rainclear.bench.growth_plot import growth_plot
from rainclear.bench.plan import BenchOptions, make_plan
from rainclear.bench.plot import quality_plot
from rainclear.bench.table import table
from rainclear.errors import DeviceError

SVG = "{http://www.w3.org/2000/svg}"


def test_keys(result):
    assert json.loads(json.dumps(result))["models"] == result["models"]
    assert result["size"] == [64, 60] and result["device"] == "cpu"
    assert set(result["models"]) == {"tiny", "dam"}
    for rows in result["models"].values():
        assert set(rows) == {"eager", "onnxruntime"}
    row = result["models"]["tiny"]["onnxruntime"]
    assert 0 < row["ms_median"] <= row["ms_p95"]
    assert row["size"] == [64, 64], "rounded up to what the network takes"
    assert row["frames"] == 3 and row["precision"] == "fp32"
    assert row["peak_memory_mb"] > 10 and row["peak_gpu_memory_mb"] is None
    assert result["ceiling"]["fp32"]["channels"] in (32, 64, 128, 256)
    assert result["machine"]["packages"]["torch"]


def test_figures_fit_together(result):
    ceiling = result["ceiling"]["fp32"]
    assert ceiling["gmac_per_s"] == max(ceiling["before"], ceiling["after"])
    rows = [row for of in result["models"].values() for row in of.values()]
    for row in [*rows, *result["prenet"].values()]:
        assert row["fps"] == pytest.approx(1000 / row["ms_median"])
        assert row["gmac_per_s"] == pytest.approx(row["gmac"] * row["fps"])
        assert row["ceiling_share"] == pytest.approx(row["gmac_per_s"] / ceiling["gmac_per_s"])
    for row in rows:
        ratio = result["prenet_ms"] / row["ms_median"]
        assert row["speedup_vs_prenet"] == pytest.approx(ratio)
    counted = result["models"]["dam"]
    assert counted["eager"]["gmac"] == counted["onnxruntime"]["gmac"]
    assert counted["eager"]["gmac"] > result["models"]["tiny"]["eager"]["gmac"]


def test_reference(result):
    prenet = result["prenet"]
    assert set(prenet) == {"eager", "onnxruntime-fp32"}
    assert prenet["eager"]["parameters"] == 168_963
    assert prenet["eager"]["gmac"] == pytest.approx(1_010_880 * 60 * 64 / 1e9)
    assert prenet["eager"]["frames"] == 1
    assert result["prenet_ms"] == prenet["eager"]["ms_median"]
    row = result["models"]["tiny"]["onnxruntime"]
    same = prenet["onnxruntime-fp32"]["ms_median"] / row["ms_median"]
    assert row["speedup_vs_prenet_same_backend"] == pytest.approx(same)


def test_fastest_of_the_first_model(result):
    rows = result["models"]["tiny"]
    fastest = min(rows, key=lambda name: rows[name]["ms_median"])
    assert result["fastest"] == {"model": "tiny", "backend": fastest}
    assert result["speedup_vs_prenet"] == rows[fastest]["speedup_vs_prenet"]
    assert result["end_to_end"]["backend"] == fastest


def test_end_to_end(result):
    whole = result["end_to_end"]
    assert whole["model"] == "tiny" and whole["frames"] == 4
    assert whole["fps"] == pytest.approx(4 / whole["seconds"])
    busy = whole["cpu_seconds"] / whole["seconds"] / whole["cores"]
    assert whole["cpu_utilisation"] == pytest.approx(busy)
    assert set(whole["stage_seconds"]) == set(whole["cpu_ms"]) == {"decode", "model", "encode"}
    assert sum(whole["share"].values()) == pytest.approx(1)
    share = whole["cpu_ms"]["model"] * 4 / 1000 / whole["cpu_seconds"]
    assert whole["share"]["model"] == pytest.approx(share)
    assert whole["fps_without_encoding"] > 0


def test_models_without_weights_are_timed_and_said_so(result):
    assert result["models"]["dam"]["eager"]["weights"] == "random"
    assert result["models"]["tiny"]["eager"]["weights"] == "published"
    assert set(result["quality"]) == {"tiny"}
    assert any("random weights" in note and "dam" in note for note in result["notes"])
    assert any(note.startswith("PReNet: random weights, 1 frame at") for note in result["notes"])


def test_says_what_it_does(result, told):
    assert "tiny, onnxruntime" in told and "PReNet, eager" in told


def test_table(result):
    text = table(result)
    row = result["models"]["tiny"]["eager"]
    assert f"| tiny | eager fp32 | {row['ms_median']:.1f} |" in text
    assert "| PReNet | 168,963 | 3.882 | – |" in text
    assert f"{result['end_to_end']['fps']:.1f} fps" in text
    assert "generated rain over drawn shapes" in text
    for note in result["notes"]:
        assert f"- {note}" in text


def test_plot(result):
    drawing = ElementTree.fromstring(quality_plot(result))
    dots = drawing.findall(f"{SVG}circle")
    notes = [dot.findtext(f"{SVG}title") or "" for dot in dots]
    assert [note.split(":")[0] for note in notes] == ["tiny eager", "tiny onnxruntime"]
    times = [result["models"]["tiny"][name]["ms_median"] for name in ("eager", "onnxruntime")]
    across = [float(dot.attrib["cx"]) for dot in dots]
    assert (across[0] < across[1]) == (times[0] < times[1])
    words = [text.text or "" for text in drawing.findall(f"{SVG}text")]
    assert "PReNet (random weights)" in words and "tiny eager" in words


def test_names_of_dots_that_nearly_coincide_stand_apart():
    names = [f"size-{i}" for i in range(5)]
    drawing = ElementTree.fromstring(
        quality_plot(
            {
                "models": {n: {"b": {"ms_median": 30 + i / 10}} for i, n in enumerate(names)},
                "quality": {n: {"gain_db": 2.0} for n in names},
                "prenet_ms": None,
                "size": [64, 48],
            }
        )
    )
    texts = [t for t in drawing.findall(f"{SVG}text") if (t.text or "").startswith("size-")]
    places = [(float(t.attrib["x"]), float(t.attrib["y"])) for t in texts]
    assert len(places) == 5
    for (x, y), (other_x, other_y) in itertools.combinations(places, 2):
        assert abs(x - other_x) > 40 or abs(y - other_y) >= 12


def test_no_plot_without_quality(result):
    with pytest.raises(ValueError, match="no quality"):
        quality_plot({**result, "quality": {}})


def test_plan_takes_all_that_run_here(tiny_model):
    plan = make_plan(BenchOptions(models=(str(tiny_model),), device="cpu", prenet="none"))
    names = [task.backend for task in plan.rows]
    assert "eager" in names and not {"compile", "tensorrt"} & set(names)
    assert plan.references == []


def test_plan_says_what_it_leaves_out(tiny_model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    options = BenchOptions(models=(str(tiny_model),), device="cpu", precision="fp32")
    plan = make_plan(options)
    assert [task.backend for task in plan.rows] == ["eager"] and plan.formats == ["fp32"]
    assert "pip install 'rainclear[openvino]'" in plan.skipped["tiny openvino"]
    named = BenchOptions(models=(str(tiny_model),), backends=("openvino",), device="cpu")
    with pytest.raises(DeviceError, match="not installed"):
        make_plan(named)


def test_growth(result):
    growth = result["growth"]
    assert growth["model"] == "tiny" and growth["backend"] == result["fastest"]["backend"]
    assert [row["size"] for row in growth["pixels"]] == [[32, 24], [64, 48]]
    assert [mark["frames"] for mark in growth["frames"]] == [2, 5]
    assert all(mark["memory_mb"] is None or mark["memory_mb"] > 10 for mark in growth["frames"])
    assert growth["pixels_exponent"] is not None and growth["frames_exponent"] is not None
    assert "Growth, tiny on" in table(result)


def test_growth_plot(result):
    root = ElementTree.fromstring(growth_plot(result))
    dots = [dot.findtext(f"{SVG}title") for dot in root.iter(f"{SVG}circle")]
    assert len(dots) in (4, 6)  # memory is not known everywhere
    assert dots[2].startswith("2 frames")
    with pytest.raises(ValueError, match="no growth"):
        growth_plot(result | {"growth": None})


def test_exponents():
    assert exponent([(1, 3.0), (10, 30.0), (100, 300.0)]) == pytest.approx(1)
    assert exponent([(1, 1.0), (2, 4.0)]) == pytest.approx(2)
    assert exponent([(1, 1.0)]) is None
