"""ultralytics leaves no traces in the process and does not speak to anybody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rainclear.detection.quiet import import_ultralytics

pytest.importorskip("ultralytics")

PROBE = """
import json, os, socket
calls = []
def refuse(*args, **kwargs):
    calls.append(str(args[:1]))
    raise OSError("no network in this test")
socket.getaddrinfo = refuse
socket.socket.connect = refuse
import cv2, numpy as np, torch
before = (dict(os.environ), cv2.getNumThreads(), torch.get_num_threads(), torch.save)
printing = np.get_printoptions()
from rainclear.detection.quiet import import_ultralytics
package = import_ultralytics()
after = (dict(os.environ), cv2.getNumThreads(), torch.get_num_threads(), torch.save)
from ultralytics.utils import checks, events
print(json.dumps({
    "same": [a == b for a, b in zip(before, after)],
    "printing": np.get_printoptions() == printing,
    "calls": calls,
    "sync": package.settings["sync"],
    "events": events.events.enabled,
    "install": checks.AUTOINSTALL,
    "online": checks.ONLINE,
    "file": json.load(open(package.settings.file))["sync"],
}))
"""


def probe(home: Path) -> dict:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "OMP_", "PYTEST_"))}
    run = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=env | {"YOLO_CONFIG_DIR": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_process_is_left_as_it_was(tmp_path: Path):
    found = probe(tmp_path)
    assert found["same"] == [True] * 4
    assert found["printing"] is True
    assert found["calls"] == []
    assert (found["sync"], found["events"], found["install"], found["online"]) == (False,) * 4
    assert found["file"] is True  # the user's own settings are not ours to change


def test_an_earlier_import_is_silenced_too(monkeypatch: pytest.MonkeyPatch):
    package = import_ultralytics()
    from ultralytics.utils import checks, events

    for module in (checks, sys.modules["ultralytics.utils"]):
        monkeypatch.setattr(module, "AUTOINSTALL", True)
        monkeypatch.setattr(module, "ONLINE", True)
    monkeypatch.setattr(events.events, "enabled", True)
    dict.__setitem__(package.settings, "sync", True)
    import_ultralytics()
    assert (package.settings["sync"], events.events.enabled) == (False, False)
    assert (checks.AUTOINSTALL, checks.ONLINE) == (False, False)


def test_no_font_is_looked_for_on_the_network(monkeypatch: pytest.MonkeyPatch):
    import socket

    for _ in range(2):  # silencing twice must not wrap twice
        import_ultralytics()
    from ultralytics.utils import checks, downloads

    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))
    assert checks.check_font("no-such-font.ttf") is None
    assert downloads.is_url("https://example.org/a.ttf")
    assert not downloads.is_url("https://example.org/a.ttf", check=True)
    assert not hasattr(downloads.is_url.__wrapped__, "__wrapped__")
    assert asked == []
