import cv2
import numpy as np
import pytest

from rainclear.runtime.derainer import Derainer


@pytest.fixture
def pairs(make_picture, tmp_path):
    for name in ("a", "b"):
        make_picture(f"clean/{name}.png")
        path = make_picture(f"rainy/{name}.png")
        picture = cv2.imread(str(path))
        picture[::3] = np.minimum(picture[::3].astype(int) + 60, 255)
        cv2.imwrite(str(path), picture)
    return ["--rainy", tmp_path / "rainy", "--clean", tmp_path / "clean"]


@pytest.fixture
def evaluate(rainclear, tiny_model):
    def run(*arguments, models=(tiny_model,)):
        chosen = [part for model in models for part in ("--model", model)]
        return rainclear("evaluate", "restoration", *arguments, *chosen, "--device", "cpu")

    return run


def test_folders_of_pairs(evaluate, pairs, read_json, files_in, tmp_path):
    out = ["--json", tmp_path / "r.json", "--html", tmp_path / "r.html"]
    result = evaluate(*pairs, *out)
    assert (result.code, result.err) == (0, "")
    assert "2 pictures" in result.out and f"wrote {tmp_path / 'r.html'}" in result.out
    data = read_json(tmp_path / "r.json")
    assert data["pairs"] == 2
    for metric in ("psnr_rgb", "psnr_y", "ssim_y"):
        assert set(data[metric]) == {"input", "output"}
    assert data["psnr_rgb"]["input"] == pytest.approx(17.33, abs=0.02)  # 60 levels in a third
    assert data["temporal_error"] is None and len(data["pictures"]) == 2
    assert [row["label"] for row in data["by_intensity"]] == ["10 to 20"]
    assert "<title>Restoration" in (tmp_path / "r.html").read_text(encoding="utf-8")
    names = {"r.json", "r.html", *(f"{k}/{n}.png" for k in ("rainy", "clean") for n in "ab")}
    assert files_in(tmp_path) == names


def test_two_videos_with_a_temporal_error(evaluate, make_video, read_json, tmp_path):
    videos = ["--rainy", make_video("rainy.mp4"), "--clean", make_video("clean.mp4")]
    assert evaluate(*videos, "--frames", 3, "--json", tmp_path / "r.json").code == 0
    data = read_json(tmp_path / "r.json")
    assert (data["pairs"], data["dry"], data["temporal_error"]["input"]) == (3, 3, 0)
    assert data["psnr_rgb"]["input"] is None and data["psnr_rgb"]["output"] > 0


def test_generated_rain(evaluate, make_picture, read_json, tmp_path):
    clean = make_picture("clean/a.png", size=(96, 64)).parent
    scores = []
    for seed in (1, 1, 2):
        where = ["--clean", clean, "--rain", "heavy", "--seed", seed]
        assert evaluate(*where, "--json", tmp_path / "r.json").code == 0
        scores.append(read_json(tmp_path / "r.json")["psnr_rgb"]["input"])
    assert scores[0] == scores[1] != scores[2] and 5 < scores[0] < 40


@pytest.mark.parametrize("gate", [False, True])
def test_the_gate_passes_dry_pictures(
    evaluate, make_picture, monkeypatch, read_json, tmp_path, gate
):
    class Closed(Derainer):
        """A derainer whose gate, where it has one, takes everything for dry."""

        def __init__(self, *arguments, gate, **options):
            super().__init__(*arguments, gate=False, **options)
            self.closed = gate

        def process(self, rgb):
            return rgb.copy() if self.closed else super().process(rgb) // 2

    monkeypatch.setattr("rainclear.runtime.derainer.Derainer", Closed)
    dry = make_picture("dry/a.png").parent
    where = ["--rainy", dry, "--clean", dry, "--gate" if gate else "--no-gate"]
    assert evaluate(*where, "--json", tmp_path / "r.json").code == 0
    data = read_json(tmp_path / "r.json")
    assert (data["gate"], data["source"].endswith("rain gate")) == (gate, gate)
    assert (data["psnr_rgb"]["output"] is None or data["psnr_rgb"]["output"] > 90) == gate


def test_a_data_set(evaluate, make_picture, read_json, tmp_path):
    make_picture("test_a/data/0_rain.png")
    make_picture("test_a/gt/0_clean.png")
    where = ["--dataset", "raindrop", "--root", tmp_path, "--split", "test"]
    assert evaluate(*where, "--json", tmp_path / "r.json").code == 0
    assert read_json(tmp_path / "r.json")["pictures"][0]["name"] == "0"
    error = evaluate("--dataset", "drops", "--root", tmp_path).error
    assert "'drops'" in error


def test_several_models(evaluate, pairs, read_json, tiny_model, tmp_path):
    again = f"{tiny_model}/."
    result = evaluate(*pairs, "--json", tmp_path / "r.json", models=(tiny_model, again))
    assert result.code == 0
    data = read_json(tmp_path / "r.json")
    assert set(data["models"]) == {str(tiny_model), again}
    assert data["psnr_y"] == data["models"][again]["psnr_y"]
    assert "given twice" in evaluate(*pairs, models=(tiny_model, tiny_model)).error


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--rainy", "x"],
        ["--dataset", "raindrop"],
        ["--rainy", "x", "--clean", "y", "--rain", "heavy"],
    ],
)
def test_one_way_to_say_what_is_measured(evaluate, options):
    assert "give --rainy and --clean, or --dataset and --root" in evaluate(*options).error


def test_a_damaged_picture_is_named_and_nothing_is_written(evaluate, pairs, files_in, tmp_path):
    (tmp_path / "rainy" / "b.png").write_bytes(b"wet")
    before = files_in(tmp_path)
    out = ["--json", tmp_path / "r.json", "--html", tmp_path / "r.html"]
    assert f"{tmp_path / 'rainy' / 'b.png'}: not a picture" in evaluate(*pairs, *out).error
    assert files_in(tmp_path) == before


def test_reports_are_checked_before_the_work(evaluate, pairs, tmp_path):
    error = evaluate(*pairs, "--json", tmp_path / "no" / "r.json").error
    assert "does not exist" in error


def test_help_does_not_load_torch():
    import subprocess
    import sys

    code = (
        "import sys; from rainclear.cli.app import main\n"
        "sys.argv = ['rainclear', 'evaluate', 'restoration', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('loaded:', [m for m in ('torch', 'cv2', 'av') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("loaded: []\n"), done.stderr
    assert "--html" in done.stdout
