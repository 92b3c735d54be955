"""Pictures of a schedule, among them those in the docs."""

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rainclear.runtime.simulate import Costs, simulate
from rainclear.runtime.timeline import draw_timeline, timeline_svg

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_text_shows_what_overlaps():
    forecast = simulate(Costs(upload=1, compute=2, download=1), slots=3)
    lines = draw_timeline(forecast.work, seconds=8, columns=8).splitlines()
    rows = dict(line.split() for line in lines)
    assert list(rows) == ["upload", "compute", "download"]
    assert rows["upload"].startswith("012")
    assert rows["compute"] == "·0011223"
    assert rows["download"] == "···0·1·2"


def test_the_picture_has_a_box_for_each_piece_of_work():
    forecast = simulate(Costs(upload=2, compute=6, download=3), slots=3)
    root = ElementTree.fromstring(timeline_svg([("a < b", forecast.work)], seconds=60))
    boxes = [r for r in root.iter(f"{SVG}rect") if r.get("rx")]
    seen = [op for op in forecast.work if op.end > op.start and op.start < 60]
    assert len(boxes) == len(seen)
    scale = 760 / 60
    assert sorted(float(b.get("x")) for b in boxes) == pytest.approx(
        sorted(92 + op.start * scale for op in seen), abs=0.1
    )
    widths = {round(float(b.get("width")) + 1) for b in boxes}
    assert {round(w * scale) for w in (2, 6, 3)} <= widths
    labels = [t.text for t in root.iter(f"{SVG}text")]
    assert {"a < b", "upload", "compute", "download", "0 ms", "60 ms"} <= set(labels)


@pytest.mark.parametrize("slots", [1, 3])
def test_the_text_in_the_docs_is_what_comes_out(slots):
    document = (DOCS / "streams.md").read_text(encoding="utf-8")
    forecast = simulate(Costs(upload=2, compute=6, download=3), slots=slots)
    for line in draw_timeline(forecast.work, seconds=54, columns=54).splitlines():
        assert line in document


def test_the_picture_in_the_docs_is_what_comes_out():
    picture = runpy.run_path(str(DOCS / "pictures" / "timeline.py"))["picture"]()
    assert (DOCS / "pictures" / "timeline.svg").read_text(encoding="utf-8") == picture
    assert re.search(r"!\[[^]]+\]\(pictures/timeline\.svg\)", (DOCS / "streams.md").read_text())
    assert "Three slots: 6 ms a frame" in picture and "One slot: 11 ms a frame" in picture
