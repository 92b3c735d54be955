"""``rainclear synth``."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.options import Overwrite
from rainclear.cli.view import console, frame_progress
from rainclear.errors import InputError, OutputError

__all__ = ["synth"]

_KINDS = "drizzle, moderate, heavy, storm, windshield, night, rain100h or jrsrd"


def synth(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A video, a picture, or a folder of them.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File to write; for a folder, the folder of the pairs (rain/, clean/, ...).",
        ),
    ],
    preset: Annotated[str, typer.Option(help=f"Kind of rain: {_KINDS}.")] = "moderate",
    rate: Annotated[
        float | None, typer.Option(help="Rain rate in mm/h, instead of the preset's.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Speed of the vehicle in km/h, instead of the preset's.")
    ] = None,
    drops: Annotated[
        float | None,
        typer.Option(help="Share of the glass under drops, 0 to 0.9, instead of the preset's."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rain.")] = 0,
    masks: Annotated[
        bool,
        typer.Option("--masks", help="Write the drop-only pictures and the soft masks as well."),
    ] = False,
    dual_pixel: Annotated[
        bool,
        typer.Option("--dual-pixel", help="Write both halves of a dual-pixel sensor as well."),
    ] = False,
    sheet: Annotated[
        bool,
        typer.Option("--sheet", help="Write one picture that shows INPUT under every preset."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Rain on clean videos or pictures, to test deraining or any perception code.

    Beside each result lies a .rain.json with the rain rate, all parameters and the seed: they make
    the same rain again, bit for bit.
    """
    from rainclear.data.synth import beside, rain_on_file
    from rainclear.rain.presets import preset as find_preset

    if sheet:
        _sheet(source, out, seed=seed, overwrite=overwrite)
        return
    find_preset(preset, rate=rate, speed=speed, coverage=drops)  # refuse bad values at once
    tasks: dict[Path, tuple[Mapping[str, Path], int]] = {}
    if source.is_dir():
        tasks = _pairs(source, out, seed, masks=masks, dual_pixel=dual_pixel)
    else:
        tasks[source] = beside(out, masks=masks, dual_pixel=dual_pixel), seed
    total = 0
    with frame_progress(score=False) as progress:
        for path, (outputs, own_seed) in tasks.items():
            bar = progress.add_task(path.name, total=None)
            total += rain_on_file(
                path,
                outputs,
                lambda height: find_preset(
                    preset, height=height, rate=rate, speed=speed, coverage=drops
                ),
                seed=own_seed,
                overwrite=overwrite,
                on_frame=lambda done, all_, bar=bar: progress.update(  # type: ignore[misc]
                    bar, completed=done, total=all_
                ),
            )
    console.print(f"{out}: {total} frames with rain {preset!r}, seed {seed}", soft_wrap=True)


def _pairs(
    source: Path, out: Path, seed: int, *, masks: bool, dual_pixel: bool
) -> dict[Path, tuple[Mapping[str, Path], int]]:
    """Outputs and seed of every file in a folder; the seed depends on the file's name alone."""
    from rainclear.data.synth import pair_folders_of
    from rainclear.video import is_image, is_video

    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; a folder of pairs needs a folder")
    if out.resolve() == source.resolve():
        raise OutputError(f"{out}: is the input itself; give another folder")
    inside = out.resolve()
    files = [
        file
        for file in sorted(source.rglob("*"))
        if file.is_file() and (is_image(file) or is_video(file))
        if not file.name.startswith(".") and inside not in file.resolve().parents
    ]
    if not files:
        raise InputError(f"{source}: the folder holds no video or picture")
    tasks: dict[Path, tuple[Mapping[str, Path], int]] = {}
    taken: dict[Path, Path] = {}
    for file in files:
        relative = file.relative_to(source)
        outputs = pair_folders_of(out, relative, masks=masks, dual_pixel=dual_pixel)
        if outputs["rain"] in taken:
            raise OutputError(
                f"{taken[outputs['rain']]} and {file} would both become {outputs['rain']}; "
                "rename one of them"
            )
        taken[outputs["rain"]] = file
        tasks[file] = outputs, (seed + zlib.crc32(relative.as_posix().encode())) % 2**31
    return tasks


def _sheet(source: Path, out: Path, *, seed: int, overwrite: bool) -> None:
    from rainclear.data.sheet import contact_sheet
    from rainclear.video import VideoReader, is_image, read_image, write_image

    if source.is_dir():
        raise InputError(
            f"{source}: is a folder; a sheet shows one picture or the start of a video"
        )
    if is_image(source):
        picture = read_image(source).eight_bit()
    else:
        with VideoReader(source) as reader:
            picture = next(iter(reader)).eight_bit()
    write_image(out, contact_sheet(picture, seed=seed), overwrite=overwrite)
    console.print(f"{out}: every preset over {source.name}", soft_wrap=True)
