"""Somebody who reads a page of the documentation and does what it says."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pages
import pytest
from pages import ROOT, SHELLS, Block, blocks, smaller

import rainclear
from rainclear.cli.app import main

WRITES = re.compile(r"""(?:-o |--out |["'], "|VideoWriter\(")([\w./-]+\.\w+)""")


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
    # What 8 bits cost on a few small frames says nothing; on them the command would refuse.
    for module in ("quantise", "int8_backend"):
        monkeypatch.setattr(f"rainclear.export.{module}.MAX_LOSS_DB", 10.0)
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


def _check_npm(command: list[str]) -> None:
    """``npm install`` is not run, but CI installs the same package before the tests."""
    assert f" {command[2]}@" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Reader:
    """Runs the blocks of one page, as somebody does who reads it from its beginning."""

    def __init__(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        self._request, self._monkeypatch = request, monkeypatch
        self._ports: dict[str, int] = {}
        self._bucket = False
        self.left_out: list[str] = []
        self._names: dict[str, Any] = {
            "rainclear": rainclear,
            "rgb": np.full((48, 64, 3), 90, np.uint8),
            "frames": [np.full((1, 3, 48, 64), 0.4, np.float32)] * 2,
            "detect": lambda frame: None,
            "detector": lambda pixels: float(pixels.mean()),
            "boxes": [],
            "written": [],
        }

    def read(self, page: str, *, slow: bool) -> None:
        self._bucket = any("s3://" in block.text for block in blocks(page))
        for block in blocks(page):
            if block.slow and not slow:
                continue
            if block.language in SHELLS:
                for command in block.commands:
                    if self._can(block, command):
                        self._run(block, command)
            elif block.language == "python" and self._can(block, block.text):
                self._execute(block)

    def _can(self, block: Block, text: str) -> bool:
        if pages.reason_not_to_run(text):
            return False
        if missing := pages.missing(text):
            self.left_out.append(f"{block.page}:{block.line} ({', '.join(missing)})")
        return not missing

    def _execute(self, block: Block) -> None:
        cameras = self._request.getfixturevalue("camera")
        cameras.opened, camera = 0, cameras("dashcam.mp4")
        seen: list[Any] = []

        def show(frame: Any) -> None:  # and leave after three
            seen.append(frame)
            if len(seen) == 3 and "feed" in self._names:
                self._names["feed"].__exit__(None, None, None)

        with rainclear.VideoReader("dashcam.mp4") as reader:
            writer = SimpleNamespace(write=self._names["written"].append)
            self._names |= {"camera": camera, "show": show, "reader": reader, "writer": writer}
            _make_room(block.text)
            lines = "\n" * (block.line - 1)  # so that a traceback names the page's line
            text = lines + smaller(self._placed(block.text))
            exec(compile(text, str(ROOT / block.page), "exec"), self._names)

    def _run(self, block: Block, original: str) -> None:
        text = smaller(self._placed(original))
        command = pages.words(text)
        _make_room(original)
        if command[:2] == ["pip", "install"]:
            _check_install(command)
        elif command[:2] == ["npm", "install"]:
            _check_npm(command)
        elif command[0] == "make":
            _check_make(command)
        elif command[:2] == ["rainclear", "serve"]:
            self._serve(text)
        elif command[:2] == ["ray", "start"]:
            self._join(text)
        elif re.search(pages.SHELL, text):
            self._shell(text)
        elif command[0] == "rainclear":
            self._request.getfixturevalue("camera").opened = 0
            self._own_models(original)
            _rainclear(command, self._monkeypatch)
        elif command[0] == "python" and command[1].startswith("examples/"):
            _example(command)
        elif command[0] != "cd":
            pytest.fail(f"{block.page}:{block.line}: no rule to run {original!r}; see pages.py")

    def _placed(self, text: str) -> str:
        """Addresses of the page as they are here."""
        if "rtsp://camera/front" in text:
            camera = self._request.getfixturevalue("network_camera")
            text = text.replace("rtsp://camera/front", camera)
        for port in re.findall(r"(?:HOST:|HEAD:|--port )(\d+)", text):
            here = self._ports.setdefault(port, _free_port())
            text = text.replace(f":{port}", f":{here}").replace(f"--port {port}", f"--port {here}")
        return re.sub(r"\b(HOST|HEAD):", "127.0.0.1:", text)

    def _environment(self) -> dict[str, str]:
        """That of a shell; a page that speaks of a bucket has one."""
        programs: dict[str, str] = self._request.getfixturevalue("programs")
        if not self._bucket or pages.missing("s3://"):
            return programs
        return programs | self._request.getfixturevalue("bucket")

    def _shell(self, text: str) -> None:
        shutil.rmtree("O", ignore_errors=True)
        if "--nnodes 2" in text:  # the same on both machines
            text = f"{text} & {text}; wait $!"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", text],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"

    def _join(self, text: str) -> None:
        start = self._request.getfixturevalue("background")
        process = start(text, self._environment())
        said = []
        for line in process.stdout:
            said.append(line)
            if "Ray runtime started" in line:
                return
        pytest.fail(f"{text}\n{''.join(said)}")

    def _serve(self, text: str) -> None:
        port = _free_port()
        start = self._request.getfixturevalue("background")
        process = start(f"{text} --port {port}", self._environment())
        until = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as page:
                    assert b"rainclear" in page.read()
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, process.stdout.read()
                time.sleep(0.2)
        process.terminate()

    def _own_models(self, text: str) -> None:
        """A command that writes into the package's models gets a copy of them."""
        if "--install" in text and "calibrate" in text:
            copy = Path("models").resolve()
            shutil.copytree(ROOT / "models" / "d-daiam-rt", copy / "d-daiam-rt")
            self._monkeypatch.setattr("rainclear.zoo.models_root", lambda: copy)
