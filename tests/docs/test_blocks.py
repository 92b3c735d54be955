"""Every block of README and docs/ is used, page by page, on tiny files.

Python and shell blocks run; YAML is read with the settings that it describes, JSON is parsed. What
stands for cameras, buckets and players is in conftest.py.

What cannot run is listed in NOT_RUN of pages.py, each with its reason.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from rainclear.config import ModelSpec
from rainclear.config.settings import Settings, load_yaml, parse
from rainclear.detection.onnx import OnnxDescription
from rainclear.pipeline import PipelineSpec
from rainclear.runtime.load import build_network


def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


pages = _beside("pages")
Reader = _beside("reader").Reader
ROOT, PAGES, SHELLS, blocks = pages.ROOT, pages.PAGES, pages.SHELLS, pages.blocks

KNOWN = {"", "python", "json", "yaml", "text", "mermaid", "toml", "bibtex", "cpp", "js", *SHELLS}


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of(page, workshop, request, monkeypatch):
    Reader(request, monkeypatch).read(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.slow for b in blocks(p))])
def test_all_blocks_of(page, workshop, request, monkeypatch):
    reader = Reader(request, monkeypatch)
    reader.read(page, slow=True)
    if reader.left_out:
        pytest.skip(f"all ran but: {'; '.join(reader.left_out)}")


SCHEMAS = {
    "docs/detection.md": OnnxDescription,
    "docs/pipelines.md": PipelineSpec,
    "docs/training.md": ModelSpec,
}


def _check_settings(kind: type[Settings], text: str, where: str) -> None:
    data = yaml.safe_load(text)
    if kind is ModelSpec:  # pages show the lines that matter of such a file
        whole = load_yaml(ROOT / "models" / "d-daiam-rt" / "model.yaml")
        data = whole | data | {"training": whole["training"] | data.get("training", {})}
    spec = parse(kind, data, source=where)
    if isinstance(spec, ModelSpec):
        build_network(spec.architecture)


@pytest.mark.parametrize("page", PAGES)
def test_settings_and_json_are_valid(page):
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert page in SCHEMAS, f"{page}:{block.line}: say in SCHEMAS what this describes"
            _check_settings(SCHEMAS[page], block.text, f"{page}:{block.line}")


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_names_a_known_language(page):
    unknown = [f"{b.page}:{b.line}: {b.language}" for b in blocks(page) if b.language not in KNOWN]
    assert unknown == []


def test_every_block_runs_but_those_that_cannot():
    texts = [
        text
        for page in PAGES
        for block in blocks(page)
        if block.language in (*SHELLS, "python")
        for text in (block.commands if block.language in SHELLS else [block.text])
    ]
    not_run = [text for text in texts if pages.reason_not_to_run(text)]
    assert len(texts) > 100
    ros, machines = not_run
    assert "examples/ros2_node.py" in ros and "--nnodes 2" in machines


def test_no_command_hides_in_a_block_of_another_language():
    programs = r"^(\$ )?(rainclear|python|pip|ray|torchrun|ffmpeg|npm|git|make|_\w+=)\b"
    hidden = [
        f"{block.page}:{block.line}"
        for page in PAGES
        for block in blocks(page)
        if block.language not in (*SHELLS, "python") and re.search(programs, block.text, re.M)
    ]
    assert hidden == []


@pytest.mark.parametrize(
    "text",
    [
        "```python\n1 / 0\n```\n",
        "```sh\nfrobnicate\n```\n",
        pytest.param(
            "```sh\nrainclear derain missing.mp4 -o - | ffplay -\n```\n", marks=pytest.mark.slow
        ),
    ],
)
def test_a_block_that_fails_fails_the_page(text, tmp_path, workshop, request, monkeypatch):
    bad = tmp_path / "bad.md"
    bad.write_text(text, encoding="utf-8")
    with pytest.raises((ZeroDivisionError, AssertionError, pytest.fail.Exception)):
        Reader(request, monkeypatch).read(str(bad), slow=True)
