"""The options that ``rainclear derain`` has alone."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Address",
    "Backend",
    "Codec",
    "Compare",
    "Crf",
    "End",
    "Engine",
    "Frames",
    "Inputs",
    "Model",
    "Out",
    "Policy",
    "Preset",
    "Raw",
    "Report",
    "Resume",
    "Segment",
    "Sidecar",
    "Start",
    "Stream",
    "Timeout",
    "Workers",
]

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...",
        help="Videos, pictures or folders of them; or one camera (0, /dev/video0), URL "
        "(rtsp://...), pattern (frame_%04d.png), or - for a pipe with Y4M.",
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", help="File to write; a folder for several inputs; - for a pipe."),
]
Model = Annotated[
    str, typer.Option(help="Model by name (see [bold]rainclear models[/]) or folder.")
]
Backend = Annotated[
    str,
    typer.Option(
        help="auto, eager, compile, openvino, openvino-int8, onnxruntime or tensorrt. "
        "[bold]auto[/] measures once for a video's size (see [bold]rainclear doctor[/])."
    ),
]
Sidecar = Annotated[
    Path | None,
    typer.Option(metavar="FILE.jsonl", help="Write the rain of every frame as JSON lines."),
]
Compare = Annotated[bool, typer.Option("--compare", help="Write rainy | derained side by side.")]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="Write figures of the run as JSON.")
]

# A part of a video.
Start = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Videos: begin there, at seconds or HH:MM:SS since the first frame; that frame "
        "gets time zero.",
    ),
]
End = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Videos: end there, on the same clock as --start."),
]
Frames = Annotated[int | None, typer.Option(min=1, help="Videos: derain so many frames at most.")]
Stream = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="INDEX",
        help="Videos: which stream of the file to derain, by its index among all.",
        show_default="the first video",
    ),
]

# Long jobs.
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Long jobs: collect finished segments in OUT.part/, so that the same command goes "
        "on where it was stopped, and skips files that are finished.",
    ),
]
Segment = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="FRAMES",
        help="Length of the segments of --resume: what a kill costs at most.",
        show_default="250",
    ),
]

# How videos are encoded.
Codec = Annotated[str, typer.Option(help="Video encoder, by FFmpeg's name.")]
Crf = Annotated[float | None, typer.Option(help="Quality in the codec's scale; lower is better.")]
Preset = Annotated[
    str | None,
    typer.Option(help="Encoder speed in the codec's words.", show_default="veryfast for x264"),
]

# Live sources and pipes.
Policy = Annotated[
    str | None,
    typer.Option(
        help="Live: block, drop-oldest to stay up to date, adaptive to derain less when late.",
        show_default="drop-oldest for cameras and URLs",
    ),
]
Raw = Annotated[
    str | None,
    typer.Option(metavar="WxH@RATE:PIXELS", help="Pipes carry raw frames, not Y4M."),
]
Timeout = Annotated[
    float, typer.Option(min=0.1, help="Live: seconds without a frame before connecting anew.")
]

# Many machines.
Engine = Annotated[
    str | None,
    typer.Option(
        help="Many files: [bold]ray[/] for the workers of a cluster, local for this process; "
        "also from and to s3://, gs:// and other storage."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray: auto or HOST:PORT; without it, a cluster on this machine."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Ray: how many.", show_default="one a GPU, or one for 4 processors"),
]
