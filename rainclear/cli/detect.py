"""``rainclear detect``."""

from pathlib import Path
from typing import Annotated

import typer

from rainclear.cli.options import Device, Gate, GateSettings, Overwrite, Precision
from rainclear.cli.run import run_and_show

__all__ = ["detect"]


def detect(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Video, picture, URL or number of a camera.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Annotated video, or picture for a picture.")
    ],
    detector: Annotated[
        str, typer.Option(help="Detector: .pt, .onnx, OpenVINO folder, .yaml or torchvision:...")
    ],
    model: Annotated[
        str, typer.Option(help="Model by name or folder; none detects without deraining.")
    ] = "d-daiam-rt",
    gate: Gate = None,
    gate_settings: GateSettings = None,
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side", help="Show rainy | derained: boxes won are green, boxes lost red."
        ),
    ] = False,
    track: Annotated[bool, typer.Option("--track", help="Follow objects (ByteTrack).")] = False,
    confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Boxes of a lower score are dropped.")
    ] = 0.25,
    size: Annotated[
        int | None, typer.Option(min=32, help="Longer side of the detector's input in pixels.")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Keep this class; may be repeated.")
    ] = None,
    jsonl: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Write a line of JSON a frame.")
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the boxes as COCO JSON.")
    ] = None,
    mot: Annotated[
        Path | None, typer.Option(metavar="FILE.txt", help="Write the boxes as MOT text.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Derain, detect, and write the frames with their boxes.

    The short form of [bold]rainclear run derain-detect[/]. Nothing is downloaded: the detector's
    file is yours.
    """
    from rainclear.cli.gate import gate_choice
    from rainclear.config import parse
    from rainclear.errors import ConfigError
    from rainclear.pipeline import Pipeline, PipelineSpec

    derains = model != "none"
    if not derains and side_by_side:
        raise ConfigError("--side-by-side compares with deraining; give a --model")
    if derains:
        gate_choice(model, gate, gate_settings)
    files = {"jsonl": jsonl, "coco": coco, "mot": mot}
    settings = {
        "source": {"path": source},
        "detect": {
            "weights": detector,
            "device": device,
            "confidence": confidence,
            "size": size,
            "classes": classes or None,
        },
        "track": {} if track else None,
        "sinks": {
            "video": {"path": str(out), "side_by_side": side_by_side},
            **{kind: {"path": str(path)} for kind, path in files.items() if path},
        },
    }
    if derains:
        settings["derain"] = {
            "model": model,
            "device": device,
            "precision": precision,
            "gate": gate,
            "gate_settings": gate_settings,
        }
    spec = parse(PipelineSpec, settings, source="rainclear detect")
    run_and_show(Pipeline(spec), Path(), overwrite=overwrite)
