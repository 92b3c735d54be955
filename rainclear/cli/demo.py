"""``rainclear demo``."""

from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.options import Device, Model
from rainclear.cli.view import console

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo"
    ),
    picture: Annotated[
        Path | None, typer.Option(help="Photograph to pan over, instead of one found installed.")
    ] = None,
    rain: Annotated[str, typer.Option(help="Preset: drizzle, moderate, heavy, …")] = "moderate",
    frames: Annotated[int, typer.Option(min=2, help="Length of the clip.")] = 60,
    model: Model = "d-daiam-rt",
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the rain.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier results.")
    ] = False,
) -> None:
    """Rain on a short clip, take the rain off again, and say how well that went.

    Needs no files: it pans over a photograph that came with an installed package. Writes rainy.mp4,
    derained.mp4 and side-by-side.png.
    """
    from rainclear.evaluation.demo import run_demo

    result = run_demo(
        out,
        picture=picture,
        rain=rain,
        frames=frames,
        model=model,
        device=device,
        seed=seed,
        overwrite=overwrite,
    )
    console.print(f"picture    {result.picture}", soft_wrap=True, markup=False)
    gain = result.psnr_derained - result.psnr_rainy
    console.print(
        f"PSNR       {result.psnr_rainy:.2f} dB rainy → "
        f"[bold green]{result.psnr_derained:.2f} dB[/] derained ({gain:+.2f} dB)"
    )
    console.print(f"speed      {result.fps:.1f} frames a second at {result.width}×{result.height}")
    for path in result.files:
        console.print(f"wrote      {path}", soft_wrap=True, markup=False)
