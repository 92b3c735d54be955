"""``rainclear export``."""

from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.view import console
from rainclear.errors import ConfigError

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model by name or folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write. Without it, --int8 keeps ranges for --backend openvino-int8.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="onnx, openvino, tensorrt, torchscript or exported; by default by the suffix "
            ".onnx, .xml, .engine, .ts or .pt2."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the input, 720x1280 if not given; without --out, of the "
            "clips (360x640).",
        ),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Leave the size free.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Half precision (float16).")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise; kept only if PSNR falls by at most 0.2 dB.")
    ] = False,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CLIP",
            help="Clip to calibrate and judge --int8 with; without --out, repeat for several.",
        ),
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="CLIP", help="Check on this clip, not on a drawn one.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
) -> None:
    """Write a model for ONNX Runtime, OpenVINO, TensorRT or C++, checked against PyTorch.

    The state goes in and comes out explicitly; the file's metadata says how.
    """
    clips = calibrate or []
    if out is None:
        if not int8 or not clips:
            raise ConfigError(
                "give --out FILE, or --int8 --calibrate CLIP for --backend openvino-int8"
            )
        if format or dynamic or half or check or overwrite:
            raise ConfigError(
                "--format, --dynamic, --half, --check and --overwrite are for a file: give --out "
                "FILE, or leave them out"
            )
        _keep(model, clips, size or "360x640")
        return
    if len(clips) > 1:
        raise ConfigError("--calibrate takes one clip with --out FILE")
    from rainclear.cli.doctor import parse_size
    from rainclear.export.export import ExportOptions, export_model

    options = ExportOptions(
        size=parse_size(size or "720x1280", rows_first=True),
        dynamic=dynamic,
        half=half,
        int8=int8,
        calibrate=clips[0] if clips else None,
        check=check,
    )
    record = export_model(model, out, format=format, options=options, overwrite=overwrite)
    found = ", ".join(
        f"{name} {check['max_difference_levels']:.2g}" for name, check in record["check"].items()
    )
    height, width = record["size"]
    console.print(
        f"{out}: {record['format']} {record['precision']}, height {height}, width {width}"
        f"{', both free' if dynamic else ''}; largest difference from PyTorch in levels of 255: "
        f"{found}",
        soft_wrap=True,
        markup=False,
    )
    if "int8" in record:
        figures = record["int8"]
        console.print(
            f"int8: {figures['psnr_int8_db']:.2f} dB, fp32: {figures['psnr_fp32_db']:.2f} dB",
            soft_wrap=True,
            markup=False,
        )


def _keep(model: str, clips: list[Path], size: str) -> None:
    from rainclear.cli.doctor import parse_size
    from rainclear.export.export import check_size
    from rainclear.export.int8_backend import keep_int8

    chosen = parse_size(size, rows_first=True)
    check_size(model, chosen)
    path, found = keep_int8(model, clips, size=chosen)
    rows = (f"{k} {v['int8']:.2f} dB ({v['float']:.2f})" for k, v in found.psnr_db.items())
    console.print(
        f"{path}: kept for --backend openvino-int8; int8 (float): {', '.join(rows)}",
        soft_wrap=True,
        markup=False,
    )
