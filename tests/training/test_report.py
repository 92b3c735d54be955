"""The report and its curves: whole, self-contained, and safe to show."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from rainclear.training import history
from rainclear.training.curves import curves_svg
from rainclear.training.report import write_report


def lines(svg: str) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(svg[: svg.index("</svg>") + 6])
    return [
        [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]  # type: ignore[misc]
        for line in root.iter("polyline")
    ]


def test_a_curve_goes_where_its_points_are() -> None:
    ((first, second, third),) = lines(curves_svg({"loss": [(0, 1.0), (5, 3.0), (10, 2.0)]}))
    assert first[0] < second[0] < third[0]
    assert second[0] == pytest.approx((first[0] + third[0]) / 2, abs=0.1)
    assert first[1] > third[1] > second[1]  # downwards is positive
    assert third[1] == pytest.approx((first[1] + second[1]) / 2, abs=0.1)


def test_a_logarithmic_curve() -> None:
    svg = curves_svg({"loss": [(0, 1.0), (1, 0.1), (2, 0.01), (3, 0.0)]}, log=True)
    ((first, second, third),) = lines(svg)
    assert second[1] == pytest.approx((first[1] + third[1]) / 2, abs=0.1)
    assert ">0.1</text>" in svg


def test_long_curves_are_thinned_and_odd_ones_drawn() -> None:
    ((*points,),) = lines(curves_svg({"a": [(i, i % 7) for i in range(100_000)]}))
    assert len(points) <= 400
    assert "<circle" in curves_svg({"a": [(3, 0.5)]})
    assert len(lines(curves_svg({"a": [(0, 1.0), (1, 1.0)]}))) == 1
    assert curves_svg({"a": [], "b": [(0, float("nan"))]}) == ""


@pytest.mark.parametrize("value", [1e16, 1e30, -1e30, 1e299])
def test_huge_values_are_drawn(value: float) -> None:
    ((a, b),) = lines(curves_svg({"loss": [(0, value), (1, value)]}))
    assert a[1] == b[1]
    ((low, high),) = lines(curves_svg({"loss": [(0, -value), (1, value)]}))
    assert (low[1] > high[1]) == (value > 0)
    assert curves_svg({"loss": [(0, 1e308), (1, -1e308), (2, float("inf"))]}) == ""
    assert "<circle" in curves_svg({"loss": [(0, value)]}, log=True) or value < 0


def test_several_curves_have_a_legend() -> None:
    svg = curves_svg({"<a>": [(0, 1), (1, 2)], "b": [(0, 2), (1, 1)]})
    assert len(lines(svg)) == 2
    assert "&lt;a&gt;" in svg and "<a>" not in svg


class Sources(HTMLParser):
    """Everything that a page would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_a_report_holds_everything(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        record = {"step": step, "total": 1 / step, "final": 0.5 / step, "lr": 1e-4}
        history.append(tmp_path / "losses.jsonl", record | {"seconds_per_step": 0.5})
    for step, score in ((15, 2.0), (30, 1.0)):
        scores = {"output_heavy": 20 + score, "gain": score, "score": score}
        history.append(tmp_path / "log.jsonl", {"step": step, **scores})
    picture = np.full((8, 16, 3), (250, 20, 20), np.uint8)
    page = write_report(
        tmp_path, title="<rain>", recipe="name: <rain>", pictures={"input": picture}, steps=60
    ).read_text()
    sources = Sources(page)
    assert "script" not in sources.tags
    assert [source[:23] for source in sources.found] == ["data:image/jpeg;base64,"]
    jpeg = np.frombuffer(base64.b64decode(sources.found[0][23:]), np.uint8)
    np.testing.assert_allclose(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[4, 8], (20, 20, 250), atol=6)
    assert "Step 30 of 60." in page and "best, step 15" in page
    assert "<rain>" not in page and "name: &lt;rain&gt;" in page
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert {"total", "final", "learning rate", "input", "gain and score, dB"} <= set(captions)


def test_a_report_of_nothing(tmp_path: Path) -> None:
    page = write_report(tmp_path, title="a", recipe="", pictures={}, steps=5).read_text()
    assert "Step 0 of 5." in page


def test_a_log_is_cut_where_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for step in (1, 2, 3):
        history.append(path, {"step": step})
    with path.open("a") as file:
        file.write('{"step": 4, "sc')  # killed while writing
    assert [row["step"] for row in history.read(path)] == [1, 2, 3]
    assert history.cut(path, 2) == [{"step": 1}, {"step": 2}]
    history.append(path, {"step": 3, "score": 1.0})
    assert history.read(path)[-1] == {"step": 3, "score": 1.0}
    assert history.cut(tmp_path / "none.jsonl", 2) == []
