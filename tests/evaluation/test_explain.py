"""The sheet that shows what a network sees."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rainclear.config import ArchitectureSpec, ModelSpec
from rainclear.errors import OutputError
from rainclear.evaluation.explain import Panel, Row, explain, explain_file, sheet
from rainclear.runtime.load import build_network
from rainclear.training.run import export_model
from rainclear.video import read_image, write_image


@pytest.fixture
def rainy() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)


def small_model(folder: Path, network: str, **options: object) -> str:
    torch.manual_seed(0)
    architecture = ArchitectureSpec(network=network, options=options)
    spec = ModelSpec(name="small", summary="random", architecture=architecture)
    return str(export_model(build_network(architecture), spec, folder / network))


def test_the_real_time_network_shows_everything(tiny_model: Path, rainy: np.ndarray) -> None:
    rows = explain(rainy, model=str(tiny_model), device="cpu")
    assert [len(row.panels) for row in rows] == [4, 4, 4, 4]
    panels = [panel for row in rows for panel in row.panels]
    assert all(panel.pixels.shape == rainy.shape for panel in panels)
    assert all(panel.caption.isascii() for panel in panels)
    assert np.array_equal(rows[0].panels[0].pixels, rainy)
    assert np.array_equal(rows[0].panels[1].pixels, rows[3].panels[3].pixels)
    assert not np.array_equal(rows[1].panels[0].pixels, rows[1].panels[1].pixels)  # S+ and S-


@pytest.mark.parametrize(
    ("network", "options", "lengths"),
    [
        ("dam", {}, [4, 4]),
        ("daiam", {}, [4, 4, 4]),
        ("daiam-daiam", {}, [4, 4, 4]),
        ("d-dam", {"rain": "drops"}, [4, 4, 4]),
        ("d-daiam", {"stages": 3}, [4, 4, 4, 4, 4]),
    ],
)
def test_what_a_network_has_not_is_left_out(
    tmp_path: Path,
    rainy: np.ndarray,
    network: str,
    options: dict[str, object],
    lengths: list[int],
) -> None:
    model = small_model(tmp_path, network, width=2, **options)
    rows = explain(rainy, model=model, device="cpu")
    assert [len(row.panels) for row in rows] == lengths


def test_maps_are_brightest_at_one() -> None:
    from rainclear.evaluation.explain import _colours

    levels = torch.linspace(0, 1, 5).view(1, 1, 1, 5)
    brightness = _colours(levels).astype(int).sum(axis=2)[0]
    assert (np.diff(brightness) > 0).all()


def test_the_sheet_holds_every_panel_as_it_is() -> None:
    pixels = [np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)]
    panels = [Panel(caption="p", pixels=p) for p in pixels]
    rows = [Row(heading="a", panels=tuple(panels[:2])), Row(heading="b", panels=tuple(panels[2:]))]
    drawn = sheet(rows, title="t", panel_width=200)
    for value in (10, 20, 30):
        assert (drawn == value).all(axis=2).sum() >= 200 * 100
    assert sheet(rows, title="t", panel_width=400).shape[1] > drawn.shape[1]


def test_files(tmp_path: Path, tiny_model: Path, rainy: np.ndarray) -> None:
    picture, out = tmp_path / "регн.png", tmp_path / "sheet.png"
    write_image(picture, rainy)
    explain_file(picture, out, model=str(tiny_model), device="cpu", panel_width=120)
    assert read_image(out).pixels.shape[1] == 14 + 4 * (120 + 14)
    with pytest.raises(OutputError, match="exists"):
        explain_file(picture, out, model=str(tiny_model), device="cpu")
