"""What a network sees in a picture, as Figs. 7 to 9 of the paper show it: one labelled sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from rainclear.nn.output import Branch, Derained, Stage, show_details
from rainclear.runtime.device import resolve_device
from rainclear.runtime.load import load_single, network_of
from rainclear.video import read_image, write_image
from rainclear.video.partial import PartialFile
from rainclear.zoo import find_model

__all__ = ["Panel", "Row", "explain", "explain_file", "sheet"]

Pixels = npt.NDArray[np.uint8]

_CHANGE_GAIN = 4.0
_MARGIN, _CAPTION, _HEADING = 14, 26, 40
_PAPER, _INK, _SOFT = (255, 255, 255), (32, 38, 46), (104, 114, 126)  # RGB
_BLUE, _ORANGE = [[[0.1]], [[0.62]], [[1.0]]], [[[1.0]], [[0.58]], [[0.05]]]  # 3×1×1
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Panel:
    """One picture of the sheet.

    Attributes:
        caption: What it is, in ASCII: OpenCV draws nothing else.
        pixels: H×W×3 RGB uint8; of a map, its colours.
    """

    caption: str
    pixels: Pixels


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """Panels that belong together, under a heading."""

    heading: str
    panels: tuple[Panel, ...]


def _colours(levels: Tensor) -> Pixels:
    """Picture of a map 1×C×H×W in [0, 1]: dark for 0, bright for 1; colours are averaged."""
    grey = levels[0].float().mean(0).clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8
    )


def _picture(image: Tensor) -> Pixels:
    """H×W×3 uint8 from 1×3×H×W in [0, 1]."""
    rounded = image[0].float().clamp(0, 1).mul(255).round().byte()
    return rounded.permute(1, 2, 0).contiguous().cpu().numpy()


def _map(caption: str, levels: Tensor) -> Panel:
    mean, most = float(levels.float().mean()), float(levels.float().max())
    return Panel(caption=f"{caption}: mean {mean:.2f}, max {most:.2f}", pixels=_colours(levels))


def _found(x: Tensor, out: Derained) -> Panel:
    """The picture in grey, with S⁺ of streaks in blue over it and that of drops in orange."""
    picture = x.mean(1, keepdim=True).expand(-1, 3, -1, -1).mul(0.6)
    for branch, colour in ((out.streaks, _BLUE), (out.drops, _ORANGE)):
        if branch is not None:
            picture = picture + branch.attention.float() * (x.new_tensor(colour) - picture)
    return Panel(caption="S+ over input: streaks blue, drops orange", pixels=_picture(picture))


def _branch(name: str, branch: Branch) -> Row:
    heavy = branch.attention
    panels = [
        _map("S+, heavy rain", heavy),
        _map("S-, light rain", 1 - heavy),
    ]
    for caption, image in (("D_heavy", branch.heavy), ("D_light", branch.light)):
        if image is not None:
            panels.append(Panel(caption=f"picture of {caption}", pixels=_picture(image)))
    return Row(heading=f"{name}: attention and pictures of both decoders", panels=tuple(panels))


def _step(number: int, before: Stage, after: Stage) -> Row | None:
    maps = after.differentials
    if maps is None:
        return None
    return Row(
        heading=f"Heavy to light: from stage {number} to stage {number + 1}",
        panels=(
            Panel(caption=f"stage {number}", pixels=_picture(before.image)),
            _map("A of output - input", maps.to_input),
            _map("B of output - previous", maps.to_previous),
            Panel(caption=f"stage {number + 1}", pixels=_picture(after.image)),
        ),
    )


@torch.inference_mode()
def explain(picture: Pixels, *, model: str = "d-daiam-rt", device: str = "auto") -> tuple[Row, ...]:
    """Derain one picture and show how: attention, both decoders' pictures, differential maps.

    A row that a network has nothing for is left out: a DAM has one branch, and a network with one
    stage no differential maps. Maps are those of the last stage.

    Args:
        picture: Rainy picture H×W×3 RGB uint8. A network that carries state sees it as the first
            frame of a stream.
        model: Model by name or folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ModelError: There is no such model, it has no weights, or it takes dual-pixel halves.
        DeviceError: This machine has no such device.
    """
    target = resolve_device(device)
    multiple = network_of(find_model(model).spec.architecture).size_multiple
    network = show_details(load_single(model)).to(target)
    height, width = picture.shape[:2]
    x = torch.from_numpy(np.ascontiguousarray(picture)).to(target).float().div(255)
    x = F.pad(
        x.permute(2, 0, 1)[None], (0, -width % multiple, 0, -height % multiple), mode="replicate"
    )
    return _rows(x, network(x), height, width)


def _rows(x: Tensor, out: Derained, height: int, width: int) -> tuple[Row, ...]:
    change = ((out.image - x).abs() * _CHANGE_GAIN).clamp(0, 1)
    first = Row(
        heading="Rainy picture and result",
        panels=(
            Panel(caption="input", pixels=_picture(x)),
            Panel(caption="result", pixels=_picture(out.image)),
            Panel(caption=f"|result - input|, {_CHANGE_GAIN:g} times", pixels=_picture(change)),
            _found(x, out),
        ),
    )
    rows = [first]
    for name, branch in (("Streaks", out.streaks), ("Drops", out.drops)):
        if branch is not None:
            rows.append(_branch(name, branch))
    for number, (before, after) in enumerate(zip(out.stages, out.stages[1:], strict=False), 1):
        if (step := _step(number, before, after)) is not None:
            rows.append(step)
    return tuple(_cropped(row, height, width) for row in rows)


def _cropped(row: Row, height: int, width: int) -> Row:
    """Without the padding."""
    panels = [Panel(caption=p.caption, pixels=p.pixels[:height, :width]) for p in row.panels]
    return Row(heading=row.heading, panels=tuple(panels))


def sheet(rows: Sequence[Row], *, title: str, panel_width: int = 480) -> Pixels:
    """Draw all rows below one another, with captions and a scale of the maps' colours.

    Args:
        rows: What to draw; all pictures of one size.
        title: At the top, in ASCII.
        panel_width: Width of a panel in pixels.

    Returns:
        H×W×3 RGB uint8.
    """
    height, width = rows[0].panels[0].pixels.shape[:2]
    panel_height = max(1, round(height * panel_width / width))
    columns = max(len(row.panels) for row in rows)
    row_height = _HEADING + _CAPTION + panel_height + _MARGIN
    canvas = np.full(
        (
            _HEADING + _MARGIN + len(rows) * row_height,
            _MARGIN + columns * (panel_width + _MARGIN),
            3,
        ),
        _PAPER,
        np.uint8,
    )
    _text(canvas, title, _MARGIN, 36, size=0.85, thickness=2)
    _scale(canvas, canvas.shape[1] - _MARGIN, 18)
    method = cv2.INTER_AREA if panel_width < width else cv2.INTER_CUBIC
    for i, row in enumerate(rows):
        top = _HEADING + _MARGIN + i * row_height
        cv2.line(canvas, (_MARGIN, top), (canvas.shape[1] - _MARGIN, top), (222, 226, 231), 1)
        _text(canvas, row.heading, _MARGIN, top + 28, size=0.62, thickness=2)
        for j, panel in enumerate(row.panels):
            x, y = _MARGIN + j * (panel_width + _MARGIN), top + _HEADING
            _text(canvas, panel.caption, x, y + 15, size=0.5, colour=_SOFT)
            canvas[y + _CAPTION :, x:][:panel_height, :panel_width] = cv2.resize(
                panel.pixels, (panel_width, panel_height), interpolation=method
            )
    return canvas


def _text(
    canvas: Pixels,
    text: str,
    x: int,
    y: int,
    *,
    size: float,
    thickness: int = 1,
    colour: tuple[int, int, int] = _INK,
) -> None:
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, thickness, cv2.LINE_AA)


def _scale(canvas: Pixels, right: int, top: int) -> None:
    """The colours of maps from 0 to 1."""
    ramp = np.repeat(np.linspace(0, 255, 160).astype(np.uint8)[None], 14, axis=0)
    bar = cv2.cvtColor(cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    left = right - 160 - 22
    canvas[top : top + 14, left : left + 160] = bar
    _text(canvas, "maps: 0", left - 72, top + 12, size=0.5, colour=_SOFT)
    _text(canvas, "1", left + 168, top + 12, size=0.5, colour=_SOFT)


def explain_file(
    picture: Path,
    out: Path,
    *,
    model: str = "d-daiam-rt",
    device: str = "auto",
    panel_width: int = 480,
    overwrite: bool = False,
) -> tuple[Row, ...]:
    """Write the sheet of a picture's file; see :func:`explain`.

    Args:
        picture: The rainy picture.
        out: Picture to write.
        model: Model by name or folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        panel_width: Width of a panel in pixels.
        overwrite: Whether ``out`` may be replaced.

    Raises:
        InputError: The picture cannot be read.
        OutputError: ``out`` exists or cannot be written.
        ModelError: There is no such model, or it has no weights.
        DeviceError: This machine has no such device.
    """
    PartialFile(out, overwrite=overwrite).discard()  # what is wrong with it is told at once
    rows = explain(read_image(picture).eight_bit(), model=model, device=device)
    name = picture.name.encode("ascii", "replace").decode()
    shown = find_model(model).spec.name.encode("ascii", "replace").decode()
    drawn = sheet(rows, title=f"{name} through {shown}", panel_width=panel_width)
    write_image(out, drawn, overwrite=overwrite)
    return rows
