"""``rainclear synth``."""

from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.view import console, frame_progress

__all__ = ["synth"]


def synth(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video or picture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    preset: Annotated[
        str, typer.Option(help="light, moderate, heavy, streaks or drops.")
    ] = "moderate",
    seed: Annotated[int, typer.Option(help="The same seed gives the same rain.")] = 0,
    masks: Annotated[
        bool, typer.Option("--masks", help="Write the soft masks of streaks and drops as well.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Rain on a clean video or picture, to test deraining or any perception code."""
    from rainclear.data.synth import rain_on_file
    from rainclear.rain.presets import preset as find_preset
    from rainclear.video import is_image, probe, read_image

    height = read_image(source).pixels.shape[0] if is_image(source) else probe(source).height
    with frame_progress(score=False) as progress:
        bar = progress.add_task(source.name, total=None)
        frames = rain_on_file(
            source,
            out,
            find_preset(preset, height=height),
            seed=seed,
            masks=masks,
            overwrite=overwrite,
            on_frame=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    console.print(f"{out}: {frames} frames with rain {preset!r}, seed {seed}", soft_wrap=True)
