import itertools
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from rainclear.bench import bench, endtoend, timing
from rainclear.bench.growth import exponent
from rainclear.bench.growth_plot import growth_plot
from rainclear.bench.plan import BenchOptions, make_plan
from rainclear.bench.plot import quality_plot
from rainclear.bench.table import table
from rainclear.errors import DeviceError, ModelError
from rainclear.runtime.backends.openvino import OpenVinoBackend

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
    assert row["frames"] == 6 and len(row["rounds"]) == 2 and row["precision"] == "fp32"
    assert row["peak_memory_mb"] > 10 and row["peak_gpu_memory_mb"] is None
    assert result["ceiling"]["fp32"]["channels"] in (32, 64, 128, 256)
    assert result["machine"]["packages"]["torch"]


def test_figures_fit_together(result):
    ceiling = result["ceiling"]["fp32"]
    assert len(ceiling["rounds"]) == 3 and ceiling["gmac_per_s"] == sorted(ceiling["rounds"])[1]
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
    assert whole["share"]["rest"] == pytest.approx(whole["overhead_seconds"] / whole["cpu_seconds"])
    alone, share = whole["cpu_ms"], whole["share"]
    assert share["model"] / share["encode"] == pytest.approx(alone["model"] / alone["encode"])
    assert whole["fps_without_encoding"] > 0
    assert 0 < whole["overhead_seconds"] < whole["cpu_seconds"]
    parts = whole["cpu_seconds"] - whole["overhead_seconds"]
    assert whole["wall_over_ideal"] == pytest.approx(whole["seconds"] * whole["cores"] / parts)
    assert whole["parts_over_alone"] == pytest.approx(parts * 1000 / 4 / sum(alone.values()))
    assert f"wall time {whole['wall_over_ideal']:.2f} ×" in table(result)


def test_models_without_weights_are_timed_and_said_so(result):
    assert result["models"]["dam"]["eager"]["weights"] == "random"
    assert result["models"]["tiny"]["eager"]["weights"] == "published"
    assert set(result["quality"]) == {"tiny"}
    assert any("random weights" in note and "dam" in note for note in result["notes"])
    assert any(note.startswith("PReNet: random weights, 1 frame at") for note in result["notes"])


def test_says_what_it_does(result, told):
    """Rounds in which all models take turns, and the ceiling before and after each."""
    turns = ["tiny, eager", "tiny, onnxruntime", "dam, eager", "dam, onnxruntime"]
    ceiling = "dense convolutions"
    assert told[:11] == [
        ceiling,
        *(f"{turn} (1 of 2)" for turn in turns),
        ceiling,
        *(f"{turn} (2 of 2)" for turn in turns),
        ceiling,
    ]
    assert "PReNet, eager" in told


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


def test_nothing_runs_in_a_format(tiny_model):
    options = BenchOptions(models=(str(tiny_model),), device="cpu", precision="fp16")
    with pytest.raises(DeviceError, match=r"nothing is left to time: tiny eager: .*fp16"):
        make_plan(options)


def quick(model, **others):
    """The least that one can measure of a model."""
    return BenchOptions(
        **{
            "models": (str(model),),
            "size": (64, 64),
            "device": "cpu",
            "precision": "fp32",
            "frames": 3,
            "seconds": 0.0,
            "rounds": 1,
            "clip_frames": 0,
            "prenet": "none",
            "growth": False,
            "quality": False,
            **others,
        }
    )


@pytest.fixture
def broken_graphs(monkeypatch):
    """OpenVINO is there, but builds no graph."""
    pytest.importorskip("openvino")

    def fail(self, *_, **__):
        raise ModelError("no graph for this")

    monkeypatch.setattr(OpenVinoBackend, "prepare", fail)


def test_an_unnamed_backend_that_builds_no_graph_is_left_out(
    tiny_model, in_this_process, broken_graphs
):
    made = bench.run_bench(quick(tiny_model))
    assert "eager" in made["models"]["tiny"] and "openvino" not in made["models"]["tiny"]
    assert made["skipped"]["tiny openvino"] == "no graph for this"
    assert "not run: tiny openvino: no graph for this" in table(made)


def test_a_named_backend_that_builds_no_graph_is_an_error_at_once(
    tiny_model, in_this_process, broken_graphs
):
    options = quick(
        tiny_model, backends=("openvino",), prenet="eager", quality=True, growth=True, clip_frames=4
    )
    told = []
    with pytest.raises(ModelError, match="no graph for this"):
        bench.run_bench(options, told.append)
    assert told == ["dense convolutions", "tiny, openvino"]


def test_no_backend_is_left_once_graphs_are_built(tiny_model, in_this_process, monkeypatch):
    def fail(task):
        raise DeviceError("not today")

    monkeypatch.setattr(bench, "time_task", fail)
    with pytest.raises(DeviceError, match="nothing is left to time: tiny eager: not today"):
        bench.run_bench(quick(tiny_model))


def test_a_reference_that_fails_on_a_backend_is_left_out(
    tiny_model, in_this_process, broken_graphs, monkeypatch
):
    real = bench.time_task

    def run(task):
        return real(task if task.model is None else replace(task, backend="eager"))

    monkeypatch.setattr(bench, "time_task", run)
    options = quick(tiny_model, backends=("eager", "openvino"), prenet="same")
    made = bench.run_bench(options)
    assert set(made["prenet"]) == {"eager"}
    assert made["skipped"]["PReNet openvino"] == "no graph for this"
    assert made["models"]["tiny"]["openvino"]["speedup_vs_prenet_same_backend"] is None


def test_int8_has_a_ceiling_of_its_own(in_this_process):
    pytest.importorskip("openvino")
    options = quick("d-daiam-rt", backends=("eager", "openvino-int8"), prenet="same")
    made = bench.run_bench(options)
    row = made["models"]["d-daiam-rt"]["openvino-int8"]
    assert row["precision"] == "int8" and set(made["ceiling"]) == {"int8", "fp32"}
    share = row["gmac_per_s"] / made["ceiling"]["int8"]["gmac_per_s"]
    assert row["ceiling_share"] == pytest.approx(share)
    assert made["models"]["d-daiam-rt"]["eager"]["ceiling_share"] > 0
    assert "PReNet openvino-int8" in made["skipped"] and set(made["prenet"]) == {"eager"}
    assert "| d-daiam-rt | openvino-int8 | " in table(made)


def test_a_system_that_tells_neither_load_nor_memory(tiny_model, in_this_process, monkeypatch):
    monkeypatch.setattr(bench, "cores_in_use", lambda: None)
    monkeypatch.setattr(timing, "peak_rss_mb", lambda: 0.0)
    monkeypatch.setattr(endtoend, "peak_rss_mb", lambda: 0.0)
    made = bench.run_bench(quick(tiny_model, backends=("eager",), clip_frames=4))
    assert made["machine"]["load"] is None and made["end_to_end"]["peak_memory_mb"] is None
    assert "| – |\n" in table(made) and "MiB." not in table(made)


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
