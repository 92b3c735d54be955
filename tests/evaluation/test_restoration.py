import json
import math

import numpy as np
import pytest

from rainclear.errors import InputError
from rainclear.evaluation.restoration import evaluate, evaluate_clip, evaluate_pairs
from rainclear.evaluation.scores import summary


def decibels(error: float) -> float:
    return 10 * math.log10(255**2 / error**2)


def test_single_pairs_start_anew_and_clips_carry_state(make_case, brightener) -> None:
    model = brightener()
    cases = [
        make_case("a", (10, 20)),
        make_case("b", (10, 20)),
        make_case("c", (10, 20), (10, 20), (10, 20), clip=True),
    ]
    counted: list[int] = []
    result = evaluate(cases, {"m": model}, on_picture=counted.append)
    assert model.resets == 3 and counted == [1, 2, 3, 4, 5]
    outputs = [p.outputs["m"].psnr_rgb for p in result.pictures]
    assert outputs == pytest.approx([decibels(e) for e in (9, 9, 9, 8, 7)])
    assert [p.title for p in result.pictures[:3]] == ["a", "b", "c, frame 0"]
    assert [p.intensity for p in result.pictures] == [10] * 5


def test_temporal_error_is_measured_within_clips(make_case, brightener) -> None:
    cases = [
        make_case("a", (10, 20)),
        make_case("c", (10, 20), (16, 22), (10, 20), clip=True),
        make_case("d", (99, 20), clip=True),
    ]
    result = evaluate(cases, {"m": brightener()})
    errors = [(p.input.temporal_error, p.outputs["m"].temporal_error) for p in result.pictures]
    assert errors == [(None, None), (None, None), (4, 5), (4, 3), (None, None)]
    data = result.as_dict()
    assert data["temporal_error"] == {"input": 4, "output": 4}
    assert "temporal_error" not in data["pictures"][0]


def test_result_as_plain_values(make_case, brightener) -> None:
    cases = [make_case("a", (10, 20)), make_case("b", (10, 40)), make_case("c", (10, 41))]
    data = evaluate(cases, {"m": brightener()}).as_dict()
    assert (data["model"], data["pairs"], data["temporal_error"]) == ("m", 3, None)
    assert data["psnr_rgb"]["input"] == pytest.approx(np.mean([decibels(e) for e in (10, 30, 31)]))
    assert data["psnr_rgb"]["output"] == pytest.approx(np.mean([decibels(e) for e in (9, 29, 30)]))
    scale = 219 / 255
    assert data["psnr_y"]["input"] == pytest.approx(
        np.mean([decibels(scale * e) for e in (10, 30, 31)])
    )
    assert data["ssim_y"]["input"] < data["ssim_y"]["output"] < 1
    rows = {row["label"]: row for row in data["by_intensity"]}
    assert {label: row["pairs"] for label, row in rows.items()} == {"10 to 20": 1, "20 to 40": 2}
    assert rows["10 to 20"]["psnr_rgb"]["output"] == pytest.approx(decibels(9))
    assert [p["name"] for p in data["pictures"]] == ["a", "b", "c"]
    assert data["pictures"][1]["psnr_rgb"]["input"] == pytest.approx(decibels(30))
    assert "lpips" not in data
    assert set(data["models"]) == {"m"}  # of one model too
    assert data["models"]["m"]["psnr_rgb"] == data["psnr_rgb"]
    json.dumps(data, allow_nan=False)


def test_dry_pictures_are_left_out_of_the_means_of_psnr(make_case, brightener) -> None:
    cases = [make_case("wet", (10, 20)), make_case("dry", (30, 30))]
    data = evaluate(cases, {"m": brightener()}).as_dict()
    assert (data["pairs"], data["dry"]) == (2, 1)
    assert data["psnr_rgb"] == pytest.approx({"input": decibels(10), "output": decibels(9)})
    dry = data["by_intensity"][0]
    assert (dry["label"], dry["psnr_rgb"]["input"]) == ("dry", None)
    assert dry["psnr_rgb"]["output"] == pytest.approx(decibels(1))
    assert data["pictures"][1]["psnr_rgb"]["input"] is None
    json.dumps(data, allow_nan=False)


def test_several_models_see_the_same_pictures(make_case, brightener) -> None:
    opened: list[int] = []
    case = make_case("a", (10, 20))
    original = case.open
    object.__setattr__(case, "open", lambda: opened.append(1) or original())
    result = evaluate([case], {"slow": brightener(), "fast": brightener(4)})
    data = result.as_dict()
    assert opened == [1]
    assert data["psnr_rgb"] == data["models"]["slow"]["psnr_rgb"]
    assert data["models"]["fast"]["psnr_rgb"]["output"] == pytest.approx(decibels(6))
    assert data["models"]["fast"]["pictures"][0]["psnr_rgb"]["output"] == pytest.approx(decibels(6))
    assert summary(result.pictures, "fast") == data["models"]["fast"]


def test_perceptual_distance_if_there_is_one(make_case, brightener) -> None:
    def distance(picture: np.ndarray, truth: np.ndarray) -> float:
        return float(truth.mean() - picture.mean())

    data = evaluate([make_case("a", (10, 20))], {"m": brightener()}, perceptual=distance).as_dict()
    assert data["lpips"] == data["pictures"][0]["lpips"] == {"input": 10, "output": 9}


def test_pictures_too_small_for_a_window(write_grey, brightener, tmp_path) -> None:
    from rainclear.evaluation.cases import paired_cases

    path = write_grey("tiny.png", 5, size=(8, 30))
    with pytest.raises(InputError, match="tiny: is smaller than 11×11"):
        evaluate(paired_cases(path, path), {"m": brightener()})


def test_no_picture_at_all(make_case, brightener) -> None:
    with pytest.raises(InputError, match="no picture"):
        evaluate([make_case("none", clip=True)], {"m": brightener()})


def test_the_short_functions_agree(write_grey, make_case, brightener, tmp_path) -> None:
    for name in ("a.png", "b.png"):
        write_grey(f"rainy/{name}", 10)
        write_grey(f"clean/{name}", 20)
    short = evaluate_pairs(tmp_path / "rainy", tmp_path / "clean", brightener())
    assert short.pictures == 2
    assert (short.rgb_input, short.rgb_output) == pytest.approx((decibels(10), decibels(9)))
    clip = evaluate_clip(
        [(s.rainy, s.clean) for s in make_case("c", (10, 20), (10, 20)).open()], brightener()
    )
    assert clip.rgb_output == pytest.approx((decibels(9) + decibels(8)) / 2)
