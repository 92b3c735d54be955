"""Our figures beside the paper's, and plots."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from rainclear.evaluation.paper import find_table
from rainclear.evaluation.plot import bin_plot, point_plot
from rainclear.evaluation.reproduced import intensity_plot, table_markdown


def result(psnr: float) -> dict[str, Any]:
    means = {
        "psnr_rgb": {"input": 20.0, "output": psnr},
        "psnr_y": {"input": 21.0, "output": psnr + 1},
        "ssim_y": {"input": 0.5, "output": 0.75},
        "pairs": 4,
    }
    bins = [{"label": "5 to 10", **means}, {"label": "10 to 20", **means}]
    return {**means, "by_intensity": bins, "steps": 7, "seconds": 12.4}


def markdown(**psnr: float) -> str:
    results = {name.replace("_", "-"): result(value) for name, value in psnr.items()}
    return table_markdown(find_table("table7"), results, source="ours", budget="7 steps")


def test_rows_stand_beside_the_papers() -> None:
    text = markdown(dam_zero=22.0, dam_odd=23.5)
    lines = [
        "| DAM(zero) | 21.97 | 0.729 | 22.00 | +2.00 | 23.00 | 0.750 | 7 | 12 s |",
        "| DAM(odd) | 23.41 | 0.791 | **23.50** | +3.50 | 24.50 | 0.750 | 7 | 12 s |",
        "| DAM(dual) | 24.15 | 0.806 | – | – | – | – | – | – |",
        "| 10 to 20 | 4 | 20.00 | 22.00 | 23.50 |",
    ]
    assert set(lines) <= set(text.splitlines())
    assert "Ours is the same." in text


def test_another_order_than_the_papers_is_said() -> None:
    text = markdown(dam_zero=25.0, dam_odd=23.0, dam=24.0)
    assert "Ours: DAM(odd) < DAM(dual) < DAM(zero); 1 of 3 comparisons agree." in text
    assert "DAM(zero) above DAM(odd), DAM(zero) above DAM(dual)." in text


def test_plots_are_svg_with_every_value() -> None:
    svg = intensity_plot(find_table("table7"), {"dam": result(25.0), "daiam": result(26.0)})
    root = ET.fromstring(svg)
    notes = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert notes.count("DAM(dual): 25.00") == 2
    assert notes.count("rainy: 20.00") == 2
    points = point_plot("a < b", [(0.2, 1.0), (0.6, 3.0), (0.6, 5.0)], x_label="x", y_label="y")
    circles = list(ET.fromstring(points).iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == 3 + 2  # and the means of two bins
    for circle in circles:
        assert 0 < float(circle.get("cx", 0)) < 640
        assert 0 < float(circle.get("cy", 0)) < 400


def test_nothing_to_plot() -> None:
    with pytest.raises(ValueError, match="no value"):
        bin_plot("t", ["a"], {"s": [None]}, x_label="x", y_label="y")
    with pytest.raises(ValueError, match="no point"):
        point_plot("t", [], x_label="x", y_label="y")
