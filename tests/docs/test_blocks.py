"""Every block of README and docs/ is used, page by page, on tiny files.

Python and shell blocks run; YAML is read with the settings that it describes, JSON is parsed.

What cannot run here is listed in NOT_RUN, each with its reason.
"""

import importlib.util
import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import rainclear
from rainclear.cli.app import main
from rainclear.config import ModelSpec
from rainclear.config.settings import Settings, load_yaml, parse
from rainclear.detection.onnx import OnnxDescription
from rainclear.pipeline import PipelineSpec
from rainclear.runtime.load import build_network

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    )
)
SHELLS = ("sh", "bash", "console")

NOT_RUN = {
    r"\btorchrun\b|--devices [2-9]": "needs several devices; tests/training runs two processes",
    r"--device cuda|device=.cuda|--backend tensorrt|tensorrt": "needs a GPU",
    r"rtsp://|/dev/video|VideoCapture\(0|rainclear derain 0|--source 0": "needs a camera",
    r"\bffmpeg\b|\bffplay\b|^tensorboard |^docker |^sudo |^apt|^ray ": "programs of others",
    r"^npm |^node ": "programs of others; tests/test_examples.py runs the script with them",
    r"examples/gstreamer|examples/ros2": "needs GStreamer or ROS 2; see tests/test_examples.py",
    r"python tests/web/browser\.py": "needs a browser; tests/web drives one",
    r"--engine ray": "starts a cluster; tests/fleet does",
    r"\b(s3|gs|az|abfs)://": "needs a bucket; tests/fleet uses storage in memory",
    r"rainclear serve": "waits for a browser; tests/web starts the page",
    r"calibrate .*--install\b": "writes into the installed package",
    r"--int8|\.xml\b|--backend openvino": "needs OpenVINO; tests/export where it is installed",
    r"^git ": "needs a repository to clone",
    r"^python tests/bench": "takes minutes and tells of this machine alone",
}
"""Commands and Python blocks that are not run, by pattern, with the reason."""

SLOW = (
    r"rainclear (train|reproduce|demo|export|doctor|bench|run|detect|calibrate)\b|"
    r"rainclear evaluate detection|rainclear data jrsrd|--engine|--detector|"
    r"python examples/|load_detector|load_yolo|predictor=|InferenceSession|Pipeline\("
)
"""Blocks that take more than about a second; they run with the tests marked slow."""

SMALLER = (
    (r"\s+# .*$", ""),
    (r"(?<![\w.~])/data/", "data/"),
    (r"RAINDROP_DIR OUT", "data/raindrop made-joint"),
    (r"--budget \S+", "--steps 1"),
    (r"^(rainclear reproduce table[457].*)$", r"\1 --width 2 --pictures 1"
     " --set training.data.crop=32 --set training.data.workers=0"),
    (r"--size \S+", "--size 48x64"),
    (r"--start \S+", "--start 0.04"),
    (r"--end \S+", "--end 0.12"),
    (r"^(rainclear export (?!.*--size).*)$", r"\1 --size 48x64"),
    (r"^(rainclear bench.*)$",
     r"\1 --frames 3 --clip-frames 3 --backend eager --prenet none --no-quality"),
    (r"^(rainclear demo.*)$", r"\1 --frames 3 --overwrite"),
    (r"^(rainclear train (?!.*--resume).*)$", r"\1 --set optim.steps=1 --set data.crop=32"
     " --set data.workers=0 --set data.batch=1 --set 'data.include=[\"*.mp4\"]'"
     " --set 'data.validation=[\"*.mp4\"]' --no-tensorboard"),
)  # fmt: skip
"""What is changed in a block so that it is done in a moment on the workshop's tiny files."""


@dataclass(frozen=True, kw_only=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Commands of a shell block: continued lines joined, what they print left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    @property
    def slow(self) -> bool:
        return re.search(SLOW, self.text) is not None


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, also those in lists."""
    found = []
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```$", text, re.M | re.S):
        indent, language, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        line = text[: match.start(3)].count("\n") + 1
        found.append(Block(page=page, line=line, language=language, text="\n".join(lines) + "\n"))
    return found


def reason_not_to_run(text: str) -> str | None:
    """Why a command or Python block is not run, or ``None``."""
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, text)), None)


def smaller(text: str) -> str:
    """The command or block as the tests run it."""
    for pattern, instead in SMALLER:
        text = re.sub(pattern, instead, text)
    return text


def words(command: str) -> list[str]:
    """A command's words; comments are left out."""
    return shlex.split(command, comments=True)


KNOWN = {"", "python", "json", "yaml", "text", "mermaid", "toml", "bibtex", "cpp", "js", *SHELLS}
WRITES = re.compile(r"""(?:-o |--out |["'], "|VideoWriter\(")([\w./-]+\.\w+)""")
DETECTS = re.compile(r"yolo|predict|detector\b|load_detector|detect\b")


def _check_install(command: list[str]) -> None:
    """``pip install`` is not run, but what it names exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        extra
        for word in command
        for group in re.findall(r"^(?:rainclear|\.)\[([\w,-]+)\]$", word)
        for extra in group.split(",")
    ]
    assert set(asked) <= set(project["optional-dependencies"]), command


def _check_make(command: list[str]) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(command[1:]) <= targets, command


def _expanded(word: str) -> list[str]:
    """What a shell makes of a word with ``~`` or ``*``."""
    return (
        sorted(map(str, Path().glob(word)))
        if "*" in word and "=" not in word
        else [os.path.expanduser(word)]
    )


def _make_room(text: str) -> None:
    """Remove what a command or block is about to write: others on the page may have written it."""
    for written in map(Path, WRITES.findall(text)):
        written.unlink(missing_ok=True)


def _rainclear(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command = [name for word in command for name in _expanded(word)]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    try:
        main()
    except SystemExit as end:
        assert not end.code, f"{' '.join(command)} ended with {end.code}"


def _example(command: list[str]) -> None:
    path = ROOT / command[1]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader, command
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*command[2:])


def _shell(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for original in block.commands:
        if reason_not_to_run(original):
            continue
        command = words(smaller(original))
        _make_room(original)
        if command[:2] == ["pip", "install"]:
            _check_install(command)
        elif command[0] == "make":
            _check_make(command)
        elif command[0] == "rainclear":
            _rainclear(command, monkeypatch)
        elif command[0] == "python" and command[1].startswith("examples/"):
            _example(command)
        elif command[0] == "cd":
            pass
        else:
            pytest.fail(f"{block.page}:{block.line}: no rule to run {original!r}; see NOT_RUN")


def run_page(
    page: str, *, slow: bool, camera: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {
        "rainclear": rainclear,
        "rgb": np.full((48, 64, 3), 90, np.uint8),
        "frames": [np.full((1, 3, 48, 64), 0.4, np.float32)] * 2,
        "detect": lambda frame: None,
        "show": lambda frame: None,
    }
    can_detect = Path("yolo11n.pt").exists() and importlib.util.find_spec("ultralytics")
    can_ray = importlib.util.find_spec("ray")
    for block in blocks(page):
        if block.slow and not slow:
            continue
        if DETECTS.search(block.text) and not can_detect:
            continue
        if "--engine ray" in block.text and not can_ray:
            continue
        if block.language in SHELLS:
            _shell(block, monkeypatch)
        elif block.language == "python" and not reason_not_to_run(block.text):
            names["camera"] = camera()
            _make_room(block.text)
            lines = "\n" * (block.line - 1)  # so that a traceback names the page's line
            exec(compile(lines + smaller(block.text), str(ROOT / page), "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of(page, workshop, camera, monkeypatch):
    run_page(page, slow=False, camera=camera, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.slow for b in blocks(p))])
def test_all_blocks_of(page, workshop, camera, monkeypatch):
    run_page(page, slow=True, camera=camera, monkeypatch=monkeypatch)


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


def test_most_blocks_run():
    texts = [
        text
        for page in PAGES
        for block in blocks(page)
        if block.language in (*SHELLS, "python")
        for text in (block.commands if block.language in SHELLS else [block.text])
    ]
    skipped = [text for text in texts if reason_not_to_run(text)]
    assert len(skipped) < len(texts) / 5, skipped


def test_a_block_that_fails_fails_the_page(tmp_path, workshop, camera, monkeypatch):
    bad = tmp_path / "bad.md"
    for text in ("```python\n1 / 0\n```\n", "```sh\nfrobnicate\n```\n"):
        bad.write_text(text, encoding="utf-8")
        with pytest.raises((ZeroDivisionError, pytest.fail.Exception)):
            run_page(str(bad), slow=False, camera=camera, monkeypatch=monkeypatch)
