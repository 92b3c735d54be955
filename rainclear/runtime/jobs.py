"""Whole jobs: a video or picture in, a derained one out, and a report of how it went."""

import os

from rainclear.runtime.derainer import Derainer
from rainclear.runtime.file_job import run_file, run_picture, run_video
from rainclear.runtime.gate import GateChoice
from rainclear.runtime.options import DerainerOptions, EncodeOptions, JobOptions
from rainclear.runtime.report import JobReport, OnFrame
from rainclear.runtime.sidecar import Sidecar
from rainclear.video.part import Part

__all__ = [
    "EncodeOptions",
    "JobReport",
    "OnFrame",
    "derain_file",
    "derain_picture",
    "derain_video",
]

Path_ = str | os.PathLike[str]


def derain_video(
    source: Path_,
    output: Path_,
    *,
    derainer: Derainer | None = None,
    model: str = "d-daiam-rt",
    device: str = "auto",
    precision: str = "auto",
    gate: GateChoice = None,
    part: Part | None = None,
    stream: int | None = None,
    sidecar: Sidecar | None = None,
    compare: bool = False,
    encode: EncodeOptions = EncodeOptions(),
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Take the rain out of a video file. Decoding, the network and encoding overlap.

    Every frame keeps its time stamp; sound, subtitles, rotation and colours are kept. The output
    appears under its name only when it is complete.

    Args:
        source: Any video that FFmpeg reads.
        output: The file to write; its suffix names the container.
        derainer: A derainer to use, reset first; else one is made of the next four.
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        gate: Rain gate; by default the model's own, if it has one. ``False`` derains every frame.
        part: The part of the video to derain, if not all; sound and the like are cut to match.
        stream: Index of the video among all streams of the file; ``None`` for the main one.
        sidecar: Where the rain of every frame is written as JSON.
        compare: Write rainy | derained side by side.
        encode: Codec, quality and speed.
        overwrite: Whether an existing output may be replaced.
        on_frame: Called after every frame with the number derained, the number expected (``None``
            if unknown) and the rain score.

    Raises:
        InputError: The source is missing, no video, or nothing of it decodes.
        OutputError: The output exists, cannot be written, or the disk is full.
        ModelError: The model is unknown or its weights are not what was published.
        DeviceError: This machine has no such device.
    """
    if derainer is None:
        derainer = DerainerOptions(
            model=model, device=device, precision=precision, gate=gate
        ).open()
    options = JobOptions(
        part=part, stream=stream, compare=compare, encode=encode, overwrite=overwrite
    )
    return run_video(source, output, derainer, options, sidecar=sidecar, on_frame=on_frame)


def derain_picture(
    source: Path_,
    output: Path_,
    *,
    derainer: Derainer | None = None,
    model: str = "d-daiam-rt",
    device: str = "auto",
    precision: str = "auto",
    gate: GateChoice = None,
    sidecar: Sidecar | None = None,
    compare: bool = False,
    overwrite: bool = False,
) -> JobReport:
    """Take the rain out of one picture; see :func:`derain_video` for arguments and errors."""
    if derainer is None:
        derainer = DerainerOptions(
            model=model, device=device, precision=precision, gate=gate
        ).open()
    options = JobOptions(compare=compare, overwrite=overwrite)
    return run_picture(source, output, derainer, options, sidecar=sidecar)


def derain_file(
    source: Path_,
    output: Path_,
    *,
    derainer: Derainer,
    compare: bool = False,
    encode: EncodeOptions = EncodeOptions(),
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
) -> JobReport:
    """Derain a picture or a video, told apart by the suffix; arguments as :func:`derain_video`."""
    options = JobOptions(compare=compare, encode=encode, overwrite=overwrite)
    return run_file(source, output, derainer, options, on_frame=on_frame)
