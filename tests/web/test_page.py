"""The page without a browser: its handlers, its store, and a real server on a free port."""

import importlib.util
import json
import os
import re
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from rainclear.errors import ConfigError, InputError
from rainclear.video import probe
from rainclear.web import page as module
from rainclear.web.job import Limits, Moment, Result
from rainclear.web.objects import Objects
from rainclear.web.player import player
from rainclear.web.store import Store
from rainclear.web.studio import AS_IT_IS, RAINS, Studio, models
from rainclear.web.summary import summary

GRADIO = importlib.util.find_spec("gradio") is not None


def needs_gradio(test):
    """Gradio takes seconds to import, so these are slow."""
    return pytest.mark.slow(pytest.mark.skipif(not GRADIO, reason="needs the extra web")(test))


@pytest.fixture
def studio(tmp_path, derainer) -> Studio:
    studio = Studio(tmp_path, limits=Limits(), device="cpu")
    studio._derainers["d-daiam-rt"] = derainer
    return studio


def test_choices():
    assert "d-daiam-rt" in models() and "dprrn" not in models()
    assert RAINS[0] == AS_IT_IS and "heavy" in RAINS and "rain100h" not in RAINS


def test_studio_derains_with_progress(studio, make_video):
    shares = []
    result = studio.derain(
        str(make_video()),
        "d-daiam-rt",
        "heavy",
        detect=True,  # without a detector, nothing is looked for
        progress=lambda share, desc: shares.append((share, desc)),
    )
    assert shares[-1] == (1.0, "5 frames") and len(result.scores) == 5
    text = summary(result)
    assert "<b>5</b><span>frames</span>" in text and "dB against the clean file" in text
    assert "objects" not in text and not studio.detects


def test_summary_counts_objects_and_escapes_what_came_with_the_file():
    found = Objects(before=3, after=4, won=2, lost=1)
    moment = Moment(time=0.0, before=Path("a.png"), after=Path("b.png"), objects=found)
    result = Result(
        moments=(moment, moment), scores=((0.0, 0.25),), files=(), notes=("<script>x.mp4",)
    )
    text = summary(result)
    assert "6 → 8 objects" in text and "4 won (green), 2 lost (red) in the 2 frames shown" in text
    assert "&lt;script&gt;" in text and "<script>" not in text


def test_names_of_files_cannot_break_out_of_the_player():
    text = player(Path('/tmp/a" onload="x/b.mp4'), Path("/tmp/c&d e.mp4"), (640, 360))
    assert text.count('"') == 6 and "onload=" not in text.replace("onload%3D", "")
    assert "gradio_api/file=/tmp/c%26d%20e.mp4" in text and "--width: 640" in text


def test_sample_is_a_short_clip(studio):
    info = probe(studio.sample())
    assert (info.width, info.height, info.frames) == (640, 360, 24)
    assert studio.sample() == info.path  # the earlier one is replaced


@pytest.mark.parametrize(
    ("model", "rain"),
    [("/etc", AS_IT_IS), ("../models/d-daiam-rt", AS_IT_IS), ("d-daiam-rt", "rain100h")],
)
def test_choices_that_the_page_does_not_offer(studio, make_picture, model, rain):
    with pytest.raises(ConfigError, match="that the page offers"):
        studio.derain(str(make_picture()), model, rain)


def test_no_file(studio):
    with pytest.raises(ConfigError, match="drop a video"):
        studio.derain(None, "d-daiam-rt", AS_IT_IS)


def test_errors_do_not_tell_where_files_lie(studio, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("rain")
    with pytest.raises(InputError, match=r"^broken\.png") as caught:
        studio.derain(str(broken), "d-daiam-rt", AS_IT_IS)
    assert str(tmp_path) not in str(caught.value)


def test_store_removes_what_is_old_and_itself():
    with Store(keep=1000) as store:
        old, new = store.path / "old", store.path / "new"
        for folder in (old, new):
            folder.mkdir()
            (folder / "frame.png").touch()
        past = time.time() - 2000
        os.utime(old / "frame.png", (past, past))
        os.utime(old, (past, past))
        assert store.sweep() == 1
        assert not old.exists() and new.exists()
        if os.name == "posix":
            assert store.path.stat().st_mode & 0o077 == 0
    assert not store.path.exists()


def test_store_looks_by_itself():
    with Store(keep=-1, every=0.01) as store:
        (store.path / "upload.mp4").touch()
        deadline = time.monotonic() + 10
        while (store.path / "upload.mp4").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_without_gradio_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ConfigError, match=r"rainclear\[web\]"):
        module.import_gradio()


@needs_gradio
def test_launch_shares_and_fetches_nothing():
    gradio = module.import_gradio()
    options = module.launch_options("127.0.0.1", 7860, Limits(megabytes=3), gradio)
    assert options["server_name"] == "127.0.0.1" and options["share"] is False
    assert options["max_file_size"] == 3_000_000
    assert options["theme"]._stylesheets == []
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["GRADIO_RUN_HISTORY"] == "False"


@needs_gradio
def test_page_offers_models_and_rains(studio):
    gradio = module.import_gradio()
    page = module.build(studio, gradio)
    assert page.analytics_enabled is False
    choices = [c["props"].get("choices") for c in page.config["components"]]
    assert [(name, name) for name in RAINS] in [
        [tuple(c) for c in offered] for offered in choices if offered
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@needs_gradio
def test_a_real_server_answers_and_names_no_other_host(monkeypatch, tmp_path):
    """The whole way but the browser: upload, run, result; then nothing of it is left."""
    from gradio_client import Client, handle_file

    port, seen = free_port(), {}

    def visit(page, **options):
        launched(page, **options)
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(address, timeout=20) as answer:
            seen["page"] = answer.read().decode()
        client = Client(address, verbose=False, analytics_enabled=False, download_files=tmp_path)
        picture = Path(__file__).parents[2] / "docs" / "pictures" / "truth.jpg"
        seen["result"] = client.predict(
            file=handle_file(str(picture)),
            model="d-daiam-rt",
            rain="drizzle",
            detect=False,
            api_name="/derain",
        )
        seen["folder"] = Path(os.environ["GRADIO_TEMP_DIR"])
        assert any(seen["folder"].iterdir())

    gradio = module.import_gradio()
    launched = gradio.Blocks.launch
    monkeypatch.setattr(gradio.Blocks, "launch", visit)
    module.serve(host="127.0.0.1", port=port, limits=Limits(side=128), device="cpu", block=False)
    assert "dB against the clean file" in json.dumps(
        seen["result"], default=str, ensure_ascii=False
    )
    assert not seen["folder"].exists()
    fetched = re.findall(r'<(?:script|link)[^>]+(?:src|href)="(https?://[^"]+)"', seen["page"])
    assert [url for url in fetched if "127.0.0.1" not in url] == []
