"""The documentation builds without a warning, asks no other host for anything, and is complete."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rainclear

ROOT = Path(__file__).parents[2]
LARGEST_PICTURE = 1_000_000


def pages(entries: list[dict]) -> set[str]:
    """All files of a navigation."""
    found = set()
    for entry in entries:
        for value in entry.values():
            found |= {value} if isinstance(value, str) else pages(value)
    return found


def test_every_page_is_in_the_navigation():
    project = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    assert pages(project["nav"]) == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_pictures_are_small_and_used():
    text = "".join(
        p.read_text("utf-8") for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    )
    for path in (ROOT / "docs").rglob("*"):
        if path.suffix in (".png", ".jpg", ".svg"):
            assert path.stat().st_size < LARGEST_PICTURE, path
            assert path.name in text, f"{path} is on no page"


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [name for name in rainclear.__all__ if f"::: rainclear.{name}\n" not in text]
    # Errors are shown with their module.
    assert set(missing) == {"RainclearError", "__version__"}
    assert "::: rainclear.errors\n" in text


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("zensical") is None, reason="needs the extra docs")
def test_builds_strictly_and_asks_no_other_host(tmp_path: Path):
    for name in ("docs", "rainclear"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "zensical.toml", tmp_path / "zensical.toml")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    api = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert 'id="rainclear.Derainer.stream"' in api
    for page in (tmp_path / "site").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.(https?:[^\"']+)", text)
        assert fetched == [], page
