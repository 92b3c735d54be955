import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rainclear.errors import OutputError
from rainclear.evaluation.chart import dot_chart
from rainclear.evaluation.report import ReportFiles, restoration_page
from rainclear.evaluation.restoration import Evaluation, evaluate


@pytest.fixture
def result(make_case, brightener) -> Evaluation:
    cases = [
        make_case("<b>wet & wild", (10, 20)),
        make_case("wetter", (10, 60)),
        make_case("worse", (30, 10)),
        make_case("dry", (30, 30)),
        make_case("clip", (10, 20), (12, 20), clip=True),
    ]
    return evaluate(cases, {"a": brightener(), "b/<i>": brightener(3)}, gallery=2)


class Page(HTMLParser):
    """Collects the tags, and checks that those that were opened are closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_page_is_whole_and_needs_nothing_else(result: Evaluation) -> None:
    text = restoration_page(result, subject="<rain> & co")
    page = Page(text)
    assert not page.named("script") and not page.named("link")
    assert all(i["src"].startswith("data:image/jpeg;base64,") for i in page.named("img"))
    assert "http" not in text and "url(" not in text
    assert "&lt;rain&gt; &amp; co" in text and "&lt;b&gt;wet &amp; wild" in text
    assert not page.named("b") and all(a == {"style": a.get("style")} for a in page.named("i"))
    assert "1 equal their truth" in text and "from 1 clip" in text


def test_the_page_shows_each_model_of_each_shot(result: Evaluation) -> None:
    page = Page(restoration_page(result, subject="s"))
    shots = result.gallery.best + result.gallery.worst
    assert len(page.named("img")) == 4 * len(shots) and len(shots) == 4
    assert [i["alt"] for i in page.named("img")][:4] == [
        f"{what}: {shots[0].score.title}" for what in ("rainy", "a", "b/<i>", "truth")
    ]


def test_the_page_of_dry_pictures(make_case, brightener) -> None:
    result = evaluate([make_case("dry", (30, 30))], {"m": brightener()}, gallery=2)
    text = restoration_page(result, subject="s")
    Page(text)
    assert "∞" in text and "nan" not in text and "inf" not in text.replace("information", "")


def test_dots_lie_at_their_values() -> None:
    chart = dot_chart("t", [("x", "1"), ("y", "2")], {"in": [20, None], "m": [30, 25]}, digits=0)
    svg = ElementTree.fromstring(chart)
    dots = {
        dot[0].text: (float(dot.get("cx", 0)), float(dot.get("cy", 0)))
        for dot in svg.iter("circle")
    }
    assert set(dots) == {"in: 20", "m: 30", "m: 25"}
    low, high, middle = dots["in: 20"], dots["m: 30"], dots["m: 25"]
    assert low[0] < high[0] < middle[0]
    assert high[1] < middle[1] < low[1]
    assert middle[1] == pytest.approx((low[1] + high[1]) / 2, abs=0.1)
    ticks = [float(t.text) for t in svg.iter("text") if t.get("text-anchor") == "end"]
    assert ticks[0] <= 20 and ticks[-1] >= 30 and len(ticks) <= 8


@pytest.mark.parametrize(
    ("values", "floor"),
    [
        ([0.9, 0.91], 0.0),
        ([12.0, 45.0], 0.0),
        ([3.0, 3.0], None),
        ([0.0, 0.0], 0.0),
        ([-2, 1], None),
    ],
)
def test_dots_stay_within_the_axis(values, floor) -> None:
    svg = ElementTree.fromstring(
        dot_chart("t", [("x", "")], {"a": values[:1], "b": values[1:]}, digits=3, floor=floor)
    )
    grid = [float(line.get("y1", 0)) for line in svg.iter("line") if line.get("class") == "grid"]
    assert all(min(grid) <= float(dot.get("cy", 0)) <= max(grid) for dot in svg.iter("circle"))
    if floor is not None:
        ticks = [float(t.text) for t in svg.iter("text") if t.get("text-anchor") == "end"]
        assert ticks[0] >= floor


def test_a_chart_of_nothing_is_nothing() -> None:
    assert dot_chart("t", [("x", "")], {"a": [None]}, digits=0) == ""


def test_files_appear_when_complete(tmp_path: Path, files_in) -> None:
    (tmp_path / "r.json").write_text("earlier")
    with ReportFiles(tmp_path / "r.json", tmp_path / "r.html") as files:
        assert files.wants_page
        assert (tmp_path / "r.json").read_text() == "earlier"
        assert not (tmp_path / "r.html").exists()
        files.write({"a": 1}, "page")
    assert files_in(tmp_path) == {"r.json", "r.html"}
    assert re.sub(r"\s", "", (tmp_path / "r.json").read_text()) == '{"a":1}'
    assert (tmp_path / "r.html").read_text() == "page"


def test_a_run_that_fails_leaves_files_as_they_were(tmp_path: Path, files_in) -> None:
    (tmp_path / "r.json").write_text("earlier")
    with pytest.raises(KeyError), ReportFiles(tmp_path / "r.json", tmp_path / "r.html"):
        raise KeyError
    assert files_in(tmp_path) == {"r.json"} and (tmp_path / "r.json").read_text() == "earlier"


def test_files_that_cannot_be(tmp_path: Path, files_in) -> None:
    with pytest.raises(OutputError, match=r"a\.png: is named as a picture"):
        ReportFiles(tmp_path / "a.png", None)
    with pytest.raises(OutputError, match="cannot go into one file"):
        ReportFiles(tmp_path / "a", tmp_path / "a")
    with pytest.raises(OutputError, match=r"the folder .* does not exist"):
        ReportFiles(tmp_path / "a.json", tmp_path / "no" / "a.html")
    assert files_in(tmp_path) == set()
