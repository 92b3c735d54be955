"""The page in a real browser: Debian's Chromium, headless, with no way to any other host.

As a script it makes the picture of docs/serve.md: python tests/web/browser.py china.jpg
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pictures" / "serve.jpg"
MINUTE = 60_000  # milliseconds, as the browser counts
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def why_not() -> str | None:
    """Why this machine cannot run the page in a browser."""
    if shutil.which("chromium") is None:
        return "needs Chromium: apt install chromium"
    missing = [n for n in ("gradio", "playwright") if importlib.util.find_spec(n) is None]
    return f"needs {' and '.join(missing)}" if missing else None


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Run ``rainclear serve`` with its temporary files in ``folder``; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = "from rainclear.cli.app import main; main()"
    log = folder.with_suffix(".log")
    with log.open("w") as said:
        server = subprocess.Popen(
            [sys.executable, "-c", command, "serve", "--port", str(port), *options],
            env={**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + 180
        while not answers(address):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"rainclear serve did not come up: {log.read_text()}")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(60)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except OSError:
        return False


@contextmanager
def browser() -> Iterator[Any]:
    """Headless Chromium with a profile of its own, as Playwright drives it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(FLAGS), timeout=2 * MINUTE
        )
        try:
            yield chromium
        finally:
            chromium.close()


def visit(chromium: Any, address: str, asked: list[str]) -> Any:
    """A tab with the page; ``asked`` takes every address that it asks for."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1080})
    page.set_default_timeout(2 * MINUTE)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_role("button", name="Take the rain off").wait_for()
    return page


def drop(page: Any, file: Path) -> None:
    """Upload a file, and wait until the page shows its name."""
    page.locator("input[type=file]").first.set_input_files(file)
    page.locator(".file-preview").first.get_by_text(file.stem).wait_for()


def choose(page: Any, label: str, option: str) -> None:
    """Pick an entry of one of the lists."""
    page.get_by_label(label).click()
    page.get_by_role("option", name=option, exact=True).click()


def press(page: Any) -> None:
    """Press the button and wait for the result."""
    page.get_by_role("button", name="Take the rain off").click()
    page.locator(".figures").wait_for()
    page.locator(".file-preview").nth(1).wait_for()


def pause_at(page: Any, share: float, where: float) -> None:
    """Stop the video at a share of its length, with the line at ``where`` per cent."""
    page.locator("rain-compare[data-ready]").wait_for()
    for kind, value in (("time", share), ("where", where)):
        page.locator(f"rain-compare .{kind}").evaluate(
            "(knob, value) => { knob.value = value; knob.dispatchEvent(new Event('input')); }",
            value,
        )
    page.wait_for_function(
        "() => [...document.querySelectorAll('rain-compare video')].every("
        "video => video.paused && !video.seeking && video.readyState > 1)"
    )


def main(photograph: str) -> None:
    """Rain on a camera that moves over ``photograph``, take it off, and keep the page's picture."""
    from rainclear.web.sample import write_sample

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "served"
        folder.mkdir()
        clip = write_sample(Path(name) / "clean.mp4", Path(photograph))
        with served(folder) as address, browser() as chromium:
            page = visit(chromium, address, [])
            drop(page, clip)
            choose(page, "Rain to put on first", "heavy")
            press(page)
            pause_at(page, 0.5, 38)
            page.wait_for_timeout(3000)  # the curve is drawn bit by bit
            page.mouse.move(0, 0)
            end = page.locator("#curve").bounding_box()
            area = {"x": 0, "y": 0, "width": 1280, "height": end["y"] + end["height"] + 24}
            page.screenshot(path=PICTURE, type="jpeg", quality=82, clip=area)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
