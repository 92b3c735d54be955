"""The page as its users see it: files are dropped, results looked at, and no other host asked."""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

SCRIPT = Path(__file__).with_name("browser.py")
spec = importlib.util.spec_from_file_location("browser", SCRIPT)
browser = importlib.util.module_from_spec(spec)
sys.modules["browser"] = browser
spec.loader.exec_module(browser)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    """An ONNX detector that finds one car in the same place of every picture."""
    onnx, pytest_onnx = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    assert pytest_onnx
    helper, folder = onnx.helper, tmp_path_factory.mktemp("detector")
    table = np.float32([[[8, 8, 40, 40, 0.9]]])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
            helper.make_node("Sub", ["mean", "mean"], ["zero"]),
            helper.make_node("Add", ["table", "zero"], ["out"]),
        ],
        "constant",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1, 1, 5])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, folder / "car.onnx")
    about = {
        "model": "car.onnx",
        "input": {"size": [64, 64], "resize": "stretch"},
        "boxes": {"output": "out", "columns": [0, 4], "format": "xyxy"},
        "scores": {"output": "out", "columns": [4, 5]},
        "names": ["car"],
    }
    (folder / "car.yaml").write_text(yaml.safe_dump(about))
    return folder / "car.yaml"


@pytest.fixture(scope="module")
def address(tmp_path_factory, detector):
    if reason := browser.why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("served")
    with browser.served(folder, "--device", "cpu", "--detector", str(detector)) as address:
        yield address
    assert list(folder.glob("rainclear-*")) == []  # nothing that was dropped outlives the page


@pytest.fixture(scope="module")
def chromium(address):
    with browser.browser() as chromium:
        yield chromium


@pytest.fixture
def page(chromium, address):
    asked: list[str] = []
    page = browser.visit(chromium, address, asked)
    yield page
    page.close()
    elsewhere = [u for u in asked if not u.startswith((address, "data:", "blob:"))]
    assert asked and elsewhere == []


def shown(page) -> list[np.ndarray]:
    """The pictures under the slider, as the page got them."""
    pictures = page.locator("#pictures img")
    pictures.nth(1).wait_for()
    sources = [pictures.nth(i).get_attribute("src") for i in range(pictures.count())]
    bodies = [np.frombuffer(page.request.get(source).body(), np.uint8) for source in sources]
    return [cv2.imdecode(body, cv2.IMREAD_COLOR) for body in bodies]


def looks(page, place: str = "#pictures") -> np.ndarray:
    """What is to be seen of the slider."""
    data = np.frombuffer(page.locator(place).screenshot(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.int16)


def test_a_picture_is_rained_on_derained_and_compared(page, make_picture):
    source = make_picture(size=(160, 96))
    browser.drop(page, source)
    browser.choose(page, "Rain to put on first", "storm")
    page.get_by_label("Look for objects").uncheck()
    browser.press(page)
    figures = page.locator(".figures").inner_text()
    assert "1\nframe" in figures and "against the clean file" in figures
    assert "objects" not in figures and not page.locator("#curve").is_visible()
    clean = cv2.imread(str(source)).astype(np.int16)
    before, after = shown(page)
    assert before.shape == after.shape == clean.shape
    assert np.abs(before - clean).mean() > 1 and np.abs(after - before).mean() > 0.5

    centred, box = looks(page), page.locator("#pictures").bounding_box()
    middle, height = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle, height)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], height, steps=5)
    page.mouse.up()
    changed = np.abs(looks(page) - centred).mean(axis=(0, 2))  # by column
    left, right = int(0.55 * len(changed)), int(0.85 * len(changed))
    assert changed[left:right].mean() > 0.5 > changed[: int(0.4 * len(changed))].mean()


def test_a_video_plays_rainy_and_derained_in_step(page, make_video):
    browser.drop(page, make_video(size=(160, 96), pts=range(50)))
    browser.choose(page, "Rain to put on first", "storm")
    page.get_by_label("Look for objects").uncheck()
    browser.press(page)
    assert not page.locator("#pictures").is_visible() and not page.locator("#moment").is_visible()
    page.locator("rain-compare[data-ready]").wait_for()
    times = "() => [...document.querySelectorAll('rain-compare video')].map(v => v.currentTime)"
    page.wait_for_function(f"({times})().every(time => time > 0.2)")
    before, after = page.evaluate(times)
    assert abs(before - after) < 0.1  # and no more than the time between two looks at them

    browser.pause_at(page, 0.5, 50)
    assert page.evaluate(times) == pytest.approx([1.0, 1.0], abs=0.02)
    assert "1.0 of 2.0 s" in page.locator("rain-compare output").inner_text()
    stage = "rain-compare .stage"
    centred, box = looks(page, stage), page.locator(stage).bounding_box()
    height = box["y"] + box["height"] / 2
    page.mouse.click(box["x"] + 0.9 * box["width"], height)
    changed = np.abs(looks(page, stage) - centred).mean(axis=(0, 2))  # by column
    left, right = int(0.55 * len(changed)), int(0.85 * len(changed))
    assert changed[left:right].mean() > 0.5 > changed[: int(0.4 * len(changed))].mean()

    page.get_by_label("Play or pause").click()
    page.wait_for_function(f"({times})().every(time => time > 1.2)")


def test_a_video_shows_its_moments_its_curve_and_its_objects(page, make_video):
    browser.drop(page, make_video(size=(160, 96)))
    browser.press(page)
    figures = page.locator(".figures").inner_text()
    assert "5\nframes" in figures and "5 → 5 objects" in figures and "0 won" in figures
    page.locator("#curve canvas, #curve svg.marks").first.wait_for()
    results = page.locator(".file-preview").nth(1).inner_text()
    assert "before" in results and ".mp4" in results

    page.locator("rain-compare[data-ready]").wait_for()
    pictures = page.locator("#pictures img")
    middle = pictures.first.get_attribute("src")
    knob = page.locator("#moment input[type=range]")
    knob.focus()
    knob.press("Home")
    knob.dispatch_event("pointerup")
    page.wait_for_function(
        "old => document.querySelector('#pictures img').getAttribute('src') !== old", arg=middle
    )
    first, _ = shown(page)
    assert first.shape == (96, 160, 3)


def test_mistakes_are_told_in_the_page(page, tmp_path):
    page.get_by_role("button", name="Take the rain off").click()
    page.get_by_text("drop a video or a picture first").wait_for()
    broken = tmp_path / "broken.png"
    broken.write_text("It rained.")
    browser.drop(page, broken)
    page.get_by_role("button", name="Take the rain off").click()
    page.get_by_text("broken.png: ").wait_for()
    assert str(tmp_path) not in page.content()


def test_the_sample_clip_comes_with_rain(page):
    page.get_by_role("button", name="Take a sample clip").click()
    page.locator(".file-preview").get_by_text("sample").wait_for()
    assert page.get_by_label("Rain to put on first").input_value() == "heavy"
