"""``rainclear derain-dual``."""

from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.options import Device, Model, Overwrite
from rainclear.cli.view import console

__all__ = ["derain_dual"]


def derain_dual(
    left: Annotated[Path, typer.Argument(metavar="LEFT", help="Picture of the left half-pixels.")],
    right: Annotated[Path, typer.Argument(metavar="RIGHT", help="Picture of the right ones.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write.")],
    model: Model = "dprrn",
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write where the drops were found, too.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option(help="Side of the parts to work in, in pixels, to save memory.")
    ] = None,
    keep_dry: Annotated[
        bool,
        typer.Option(
            "--keep-dry/--no-keep-dry",
            help="Keep a half as it is where it is dry. Without, the network's picture alone, as "
            "published.",
        ),
    ] = True,
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Take the drops out of a dual-pixel picture.

    LEFT and RIGHT are what the two halves of the sensor's pixels saw, of one size.
    """
    import numpy as np

    from rainclear.errors import InputError, OutputError
    from rainclear.runtime.dual import DualDerainer
    from rainclear.video import is_image, read_image, write_image

    targets = [path for path in (out, mask) if path is not None]
    if len({path.resolve() for path in targets}) < len(targets):
        raise OutputError(f"{out}: picture and mask need two files")
    for path in targets:
        if path.resolve() in (left.resolve(), right.resolve()):
            raise OutputError(f"{path}: is the input itself; give another name")
        if not is_image(path):
            raise OutputError(f"{path}: is no name of a picture; use .png, .jpg or another")
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; give --overwrite to replace it")
    halves = [read_image(path).eight_bit() for path in (left, right)]
    if halves[0].shape != halves[1].shape:
        raise InputError(f"{left} and {right} differ in size; they must be halves of one picture")
    derainer = DualDerainer(model, device=device, precision=precision, tile=tile, keep_dry=keep_dry)
    derained = derainer.process(*halves)
    write_image(out, derained.pixels, overwrite=overwrite)
    if mask is not None:
        levels = np.rint(derained.mask * 255).astype(np.uint8)
        write_image(mask, np.repeat(levels[..., None], 3, axis=2), overwrite=overwrite)
    share = float((derained.mask >= 0.5).mean())
    console.print(f"{out}: water on {share:.0%} of the picture", soft_wrap=True, markup=False)
