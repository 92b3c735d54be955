"""``rainclear bench``: how fast models are on this machine."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markdown import Markdown

from rainclear.cli.doctor import parse_size
from rainclear.cli.options import Device, Overwrite, Precision
from rainclear.cli.view import console, errors, show_note, write_text
from rainclear.errors import ConfigError, OutputError

__all__ = ["bench"]

_JSON, _TABLE, _PLOT, _GROWTH = "bench.json", "table.md", "quality-time.svg", "growth.svg"


def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model by name or folder; repeat for several.", show_default="d-daiam-rt"
        ),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the frames.")] = "1280x720",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="auto, eager, compile, openvino, openvino-int8, onnxruntime, tensorrt; repeat "
            "for several. auto stands for all that run here but compile.",
            show_default="auto",
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of the CPU.", show_default="PyTorch's choice"),
    ] = None,
    frames: Annotated[
        int, typer.Option(min=3, help="Frames to time of each model in a round, at least.")
    ] = 50,
    seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="Time that a model's round takes, at least.")
    ] = 8.0,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds in which the models and the ceilings take turns.")
    ] = 3,
    clip_frames: Annotated[
        int, typer.Option(min=0, help="Length of the clip from file to file; 0 leaves it out.")
    ] = 200,
    prenet: Annotated[
        Literal["eager", "same", "none"],
        typer.Option(
            help="Reference: in PyTorch, fp32 (eager), also on the models' backends (same), none."
        ),
    ] = "eager",
    prenet_frames: Annotated[
        int, typer.Option(min=1, help="Frames of the reference to time; one takes seconds.")
    ] = 1,
    growth: Annotated[
        bool,
        typer.Option("--growth/--no-growth", help="Measure how time grows with size and length."),
    ] = True,
    quality: Annotated[
        bool, typer.Option("--quality/--no-quality", help="Measure PSNR over generated rain too.")
    ] = True,
    clean: Annotated[
        Path | None,
        typer.Option(metavar="VIDEO", help="Dry video to rain on for it; else drawn shapes."),
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help=f"Folder for {_JSON}, {_TABLE}, {_PLOT}, {_GROWTH}."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Time models on this machine, as ratios to a reference and to the machine's own ceiling.

    Takes some minutes at 1280x720. Nothing else should run meanwhile.
    """
    height_width = parse_size(size)
    files = [path for path in (as_json, *(_files(out) if out else ())) if path]
    for path in files:
        _check_free(path, overwrite=overwrite)
    if clean is not None and not quality:
        raise ConfigError(
            f"--clean {clean} is for the quality, which --no-quality leaves out: drop one of them"
        )

    from rainclear.bench.bench import run_bench
    from rainclear.bench.plan import BenchOptions
    from rainclear.bench.table import table

    options = BenchOptions(
        models=tuple(model or ["d-daiam-rt"]),
        backends=tuple(backend or ()),
        size=height_width,
        device=device,
        precision=precision,
        threads=threads,
        frames=frames,
        seconds=seconds,
        rounds=rounds,
        clip_frames=clip_frames,
        prenet=prenet,
        prenet_frames=prenet_frames,
        growth=growth,
        quality=quality,
        clean=clean,
    )
    with errors.status("") as status:
        result = run_bench(options, lambda doing: status.update(doing))
    text = table(result)
    console.print(Markdown(text))
    if as_json:
        write_text(as_json, json.dumps(result, indent=1) + "\n")
    if out:
        _write_folder(out, result, text)


def _files(out: Path) -> tuple[Path, ...]:
    return out / _JSON, out / _TABLE, out / _PLOT, out / _GROWTH


def _check_free(path: Path, *, overwrite: bool) -> None:
    """Make its folder, or say that it cannot be written before minutes are spent on measuring."""
    try:
        there = path.exists()
        if there and not overwrite:
            raise OutputError(f"{path}: exists already; give another name or --overwrite")
        if path.is_dir():
            raise OutputError(f"{path}: is a directory; give a file name")
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            raise OutputError(f"{above}: is a file, so {path} cannot be made; name another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}; give another name"
        ) from error


def _write_folder(out: Path, result: dict[str, Any], text: str) -> None:
    from rainclear.bench.growth_plot import growth_plot
    from rainclear.bench.plot import quality_plot

    values, table, plot, grown = _files(out)
    write_text(values, json.dumps(result, indent=1) + "\n")
    write_text(table, text)
    if result["quality"]:
        write_text(plot, quality_plot(result))
    else:
        show_note(f"{plot}: not drawn, as the quality of no model was measured")

    if result["growth"]:
        write_text(grown, growth_plot(result))
