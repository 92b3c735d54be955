import pytest

from rainclear.bench import bench, plan
from rainclear.errors import DeviceError

RESULT = {
    "size": [64, 64],
    "device": "cpu",
    "machine": {
        "processor": "a processor",
        "cores": 2,
        "threads": 1,
        "gpus": [],
        "packages": {"torch": "2", "onnx": None},
    },
    "ceiling": {"fp32": {"gmac_per_s": 100.0}},
    "prenet": {},
    "prenet_ms": None,
    "models": {
        "tiny": {
            "eager": {
                "precision": "fp32",
                "ms_median": 12.5,
                "ms_p95": 14.0,
                "fps": 80.0,
                "parameters": 1000,
                "gmac": 1.0,
                "gmac_per_s": 80.0,
                "ceiling_share": 0.8,
                "peak_memory_mb": 300.0,
                "peak_gpu_memory_mb": None,
                "speedup_vs_prenet": None,
            }
        }
    },
    "end_to_end": None,
    "growth": None,
    "quality": {"tiny": {"gain_db": 2.5, "scene": "drawn shapes"}},
    "skipped": {"tiny openvino": "not installed"},
    "notes": ["a note"],
}


@pytest.fixture
def asked(monkeypatch):
    """What the benchmark was asked for; it answers at once."""
    options: list[plan.BenchOptions] = []

    def run(wanted, report):
        options.append(wanted)
        report("doing it")
        return RESULT

    monkeypatch.setattr(bench, "run_bench", run)
    return options


def test_options(rainclear, asked, tmp_path):
    clean = tmp_path / "dry.mp4"
    done = rainclear(
        *("bench", "--model", "a", "--model", "b", "--size", "64x48", "--backend", "eager"),
        *("--device", "cpu", "--precision", "fp32", "--threads", 1, "--frames", 5),
        *("--seconds", 0.5),
        *("--clip-frames", 0, "--prenet", "same", "--prenet-frames", 2, "--clean", clean),
    )
    assert (done.code, done.err) == (0, "")
    assert asked == [
        plan.BenchOptions(
            models=("a", "b"),
            backends=("eager",),
            size=(48, 64),
            device="cpu",
            precision="fp32",
            threads=1,
            frames=5,
            seconds=0.5,
            clip_frames=0,
            prenet="same",
            prenet_frames=2,
            clean=clean,
        )
    ]


def test_defaults_are_those_of_the_library(rainclear, asked):
    assert rainclear("bench").code == 0
    assert asked == [plan.BenchOptions()]


def test_files(rainclear, asked, tmp_path, read_json):
    done = rainclear("bench", "--json", tmp_path / "f.json", "-o", tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    assert "12.5" in done.out and "a note" in done.out
    assert read_json(tmp_path / "f.json") == read_json(tmp_path / "out" / "bench.json") == RESULT
    text = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "| tiny | eager fp32 | 12.5 | 14.0 | 80.0 | – | 80 | 80% | 300 |" in text
    assert "| tiny | 1,000 | 1 | +2.50 dB |" in text
    assert "not run: tiny openvino: not installed" in text
    assert "<svg" in (tmp_path / "out" / "quality-time.svg").read_text(encoding="utf-8")


def test_nothing_is_replaced_unasked(rainclear, asked, tmp_path):
    file = tmp_path / "f.json"
    file.write_text("old")
    assert "--overwrite" in rainclear("bench", "--json", file).error
    assert asked == [] and file.read_text() == "old"
    assert rainclear("bench", "--json", file, "--overwrite").code == 0
    assert file.read_text() != "old"


def test_files_that_cannot_be_written_are_told_before_anything_is_measured(
    rainclear, asked, tmp_path
):
    file = tmp_path / "afile"
    file.write_text("old")
    inside = rainclear("bench", "--json", file / "sub" / "x.json").error
    assert inside.startswith(f"{file}: is a file")
    assert rainclear("bench", "--out", file).error.startswith(f"{file}: is a file")
    long = tmp_path / ("x" * 300)
    assert "cannot be written" in rainclear("bench", "--json", long).error
    assert asked == [] and file.read_text() == "old"


def test_the_check_of_files_leaves_none_behind(rainclear, monkeypatch, tmp_path):
    file = tmp_path / "new" / "f.json"

    def fail(*_):
        assert file.parent.is_dir() and not file.exists()
        raise DeviceError("no")

    monkeypatch.setattr(bench, "run_bench", fail)
    assert rainclear("bench", "--json", file).error == "no"
    assert not file.exists()


def test_a_clean_video_without_quality_is_refused(rainclear, asked, tmp_path):
    error = rainclear("bench", "--no-quality", "--clean", tmp_path / "nothere.mp4").error
    assert "nothere.mp4" in error and "--no-quality" in error and asked == []


def test_a_missing_clean_video_is_told_before_anything_is_measured(
    rainclear, tiny_model, monkeypatch, tmp_path
):
    monkeypatch.setattr(bench, "dense_ceiling", None)
    options = ("--model", tiny_model, "--device", "cpu", "--clean", tmp_path / "nothere.mp4")
    assert "nothere.mp4" in rainclear("bench", *options).error


def test_a_number_format_that_nothing_runs_in(rainclear, tiny_model):
    options = ("--model", tiny_model, "--device", "cpu", "--precision", "fp16")
    error = rainclear("bench", *options).error
    assert error.startswith("nothing is left to time: tiny eager: ") and "fp16" in error


def test_help_tells_defaults_and_auto(rainclear, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(rainclear("bench", "--help").out.split())
    assert "[default: (d-daiam-rt)]" in text and "[default: (PyTorch's choice)]" in text
    assert "auto, eager, compile" in text


@pytest.mark.parametrize("size", ["64", "0x64", "1280x", "wide"])
def test_bad_size(rainclear, asked, size):
    assert "WIDTHxHEIGHT such as 1280x720" in rainclear("bench", "--size", size).error
    assert asked == []


def test_unknown_model(rainclear):
    assert "no model named 'd-daiam-xt'" in rainclear("bench", "--model", "d-daiam-xt").error


def test_unknown_backend(rainclear, tiny_model):
    error = rainclear("bench", "--model", tiny_model, "--backend", "openvin").error
    assert "unknown backend 'openvin'" in error and "did you mean 'openvino'" in error


def test_backend_that_is_not_installed(rainclear, tiny_model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    options = ("--model", tiny_model, "--device", "cpu", "--backend", "onnxruntime")
    assert "pip install 'rainclear[onnx]'" in rainclear("bench", *options).error


def test_backend_for_another_device(rainclear, tiny_model):
    options = ("--model", tiny_model, "--device", "cpu", "--backend", "tensorrt")
    assert "not installed" in (error := rainclear("bench", *options).error) or "GPU" in error
