"""From a model's name to a checked file with a record of what it is inside."""

import importlib.metadata
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rainclear.errors import ConfigError, OutputError
from rainclear.export.artefact import BESIDE, FORMATS, SUFFIXES, Artefact, Format
from rainclear.export.check import cells_as_traced, compare, run_clip, runner
from rainclear.export.frames import clip_frames, generated_frames, random_frames
from rainclear.export.onnx_file import OnnxFile
from rainclear.export.openvino_file import OpenVinoFile
from rainclear.export.quantise import quantise
from rainclear.export.tensorrt_file import TensorRtFile
from rainclear.export.torch_file import ExportedFile, ScriptFile
from rainclear.nn.registry import Network
from rainclear.runtime.backends.graph import Graph, Signature, example_inputs, signature_of
from rainclear.runtime.load import load_single, network_of
from rainclear.video.partial import PartialFile
from rainclear.zoo import ModelFolder, find_model

__all__ = ["ExportOptions", "check_size", "export_model", "format_of"]

_CHECKED = 4
_CALIBRATED = 48
_LEAST_DYNAMIC = 5
"""Times the network's multiple: below, sizes on the way down become 1, which a trace keeps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """How a network is exported.

    Attributes:
        size: Height and width of its input; of the checks and of the best speed where ``dynamic``.
        dynamic: Leave height and width free; ``size`` is then at least 40×40 for networks that take
            multiples of 8.
        half: Compute in float16 (OpenVINO: store weights so); inputs and outputs stay float32.
        int8: Quantise, with ``calibrate``; accepted only if PSNR falls by at most 0.2 dB.
        calibrate: Clip that int8 is calibrated and judged with; clean daylight driving is best.
        check: Clip whose frames the file is checked on, beside noise; ``calibrate`` if not given,
            or a drawn scene in the rain without either.
    """

    size: tuple[int, int] = (720, 1280)
    dynamic: bool = False
    half: bool = False
    int8: bool = False
    calibrate: Path | None = None
    check: Path | None = None


def format_of(output: Path, name: str | None) -> Format:
    """The format called ``name``, or the one that the output's suffix stands for.

    Raises:
        ConfigError: There is no such format, the name of the file tells none or another one, or is
            what the format's second file is called.
    """
    told = next((known for known, suffix in SUFFIXES.items() if output.suffix == suffix), None)
    if name is None:
        if told is None:
            suffixes = ", ".join(f"{f} ({s})" for f, s in SUFFIXES.items())
            raise ConfigError(
                f"{output}: its name tells no format; give --format, one of: {suffixes}"
            )
        return told
    kind = next((known for known in FORMATS if known == name), None)
    if kind is None:
        raise ConfigError(f"--format {name!r} is unknown; use one of: {', '.join(FORMATS)}")
    if told is not None and told != kind:
        raise ConfigError(
            f"{output}: {output.suffix} is what {told} files are called, not {kind}; end the name "
            f"in {SUFFIXES[kind]}, or give --format {told}"
        )
    if kind == "openvino" and told is None:
        raise ConfigError(
            f"{output}: OpenVINO writes two files, .xml and .bin; end the name in .xml"
        )
    if output.suffix == BESIDE.get(kind):
        raise ConfigError(
            f"{output}: the record of a {kind} file is written beside it as {output.suffix}; end "
            f"the name in {SUFFIXES[kind]}"
        )
    return kind


def export_model(
    model: str,
    output: str | os.PathLike[str],
    *,
    format: str | None = None,
    options: ExportOptions = ExportOptions(),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a model for another runtime, after checking it against PyTorch.

    The state is explicit: ``frame`` and ``state_0``, ... go in; ``image``, the attention maps and
    the next state come out. The record that is returned is also the file's metadata, as JSON under
    the key ``rainclear``: it names inputs and outputs, says which output is which state of the next
    frame, what the first state is, and what the checks found.

    Args:
        model: Name of a model or path of its folder.
        output: File to write.
        format: onnx, openvino, tensorrt, torchscript or exported; by the output's suffix if not
            given.
        options: How.
        overwrite: Whether an existing file may be replaced.

    Raises:
        ConfigError: Options that contradict each other or do not fit the model.
        ModelError: The model is unknown, a package is missing, the file's pictures differ from
            PyTorch's, or int8 costs more than 0.2 dB.
        OutputError: The file exists or cannot be written.
        InputError: A clip cannot be read.
    """
    path = Path(output)
    kind = format_of(path, format)
    folder = find_model(model)
    descriptor = network_of(folder.spec.architecture)
    check_size(model, options.size)
    _check_options(kind, options, descriptor)
    reference = load_single(model)
    signature = signature_of(reference, descriptor)
    beside = BESIDE.get(kind)
    if beside and path.with_suffix(beside).exists() and not overwrite:
        raise OutputError(
            f"{path.with_suffix(beside)}: exists already; give another name or --overwrite"
        )
    partial = PartialFile(path, overwrite=overwrite)
    left: list[Path] = [partial.partial.with_suffix(beside)] if beside else []
    try:
        artefact, facts = _build(kind, model, reference, signature, options, descriptor)
        record = _record(folder, descriptor, kind, options, signature) | facts
        for extra in artefact.save(partial.partial, record):
            os.replace(extra, path.with_suffix(extra.suffix))
        partial.commit()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.discard()
        for extra in left:
            extra.unlink(missing_ok=True)
    return record


def check_size(model: str, size: tuple[int, int]) -> None:
    """Check that a model takes pictures of this height and width.

    Raises:
        ConfigError: It does not.
        ModelError: The model is unknown.
    """
    descriptor = network_of(find_model(model).spec.architecture)
    m = descriptor.size_multiple
    if any(side < m or side % m for side in size):
        raise ConfigError(
            f"--size {size[0]}x{size[1]}: network {descriptor.name!r} takes multiples of {m}"
        )


def _check_options(kind: Format, options: ExportOptions, descriptor: Network) -> None:
    least = _LEAST_DYNAMIC * descriptor.size_multiple
    if options.dynamic and min(options.size) < least:
        height, width = options.size
        raise ConfigError(
            f"--size {height}x{width} is too small for --dynamic, whose file would be right for "
            f"that size alone; give --size {least}x{least} or more"
        )
    if options.int8 and kind not in ("onnx", "openvino"):
        raise ConfigError(f"--int8 needs --format onnx or openvino, not {kind}")
    if options.int8 and options.half:
        raise ConfigError("--int8 and --half exclude each other")
    if options.int8 != (options.calibrate is not None):
        raise ConfigError("--int8 and --calibrate CLIP go together")


def _build(
    kind: Format,
    model: str,
    reference: torch.nn.Module,
    signature: Signature,
    options: ExportOptions,
    descriptor: Network,
) -> tuple[Artefact, dict[str, Any]]:
    """The checked network in its format, and what the checks found."""
    original = Graph(reference, signature).eval()
    # OpenVINO stores float16 itself; others run as traced.
    inside = options.half and kind != "openvino"
    graph = Graph(load_single(model), signature, half=True).eval() if inside else original
    inputs = example_inputs(reference, (1, *options.size))
    artefact = _artefact(kind, graph, inputs, options, descriptor.size_multiple)
    real = options.check or options.calibrate
    clips = {"random": random_frames(options.size, _CHECKED)}
    if real is not None:
        clips["real"] = clip_frames(real, options.size, _CHECKED)
    else:
        clips["generated"] = generated_frames(options.size, _CHECKED)
    if options.dynamic:
        m = descriptor.size_multiple
        other = [side + m if side < 256 else side // (2 * m) * m for side in options.size]
        clips["other size"] = random_frames((other[0], other[1]), _CHECKED)
    wanted = {}
    with cells_as_traced(original, inputs) if options.dynamic else nullcontext():
        for name, frames in clips.items():
            wanted[name] = run_clip(runner(original), signature, reference, frames)

    def checked(precision: str) -> dict[str, Any]:
        found = {}
        for name, frames in clips.items():
            got = run_clip(artefact.run, signature, reference, frames)
            found[name] = compare(name, got, wanted[name], precision=precision)
        if real is not None:
            found["real"]["clip"] = real.name
        return found

    facts: dict[str, Any] = {"check": checked("fp16" if options.half else "fp32")}
    if options.calibrate is not None:
        clip = clip_frames(options.calibrate, options.size, _CALIBRATED)
        artefact, facts["int8"] = quantise(artefact, original, clip)
        facts["check"] = checked("int8")
    return artefact, facts


def _artefact(
    kind: Format,
    graph: Graph,
    inputs: tuple[Tensor, ...],
    options: ExportOptions,
    multiple: int,
) -> Artefact:
    dynamic, half = options.dynamic, options.half
    if kind == "onnx":
        return OnnxFile.build(graph, inputs, dynamic=dynamic)
    if kind == "openvino":
        return OpenVinoFile.build(graph, inputs, dynamic=dynamic, half=half)
    if kind == "tensorrt":
        return TensorRtFile.build(graph, inputs, dynamic=dynamic, multiple=multiple)
    if kind == "torchscript":
        return ScriptFile(graph, inputs)
    return ExportedFile(graph, inputs, dynamic=dynamic)


def _record(
    folder: ModelFolder,
    descriptor: Network,
    kind: Format,
    options: ExportOptions,
    signature: Signature,
) -> dict[str, Any]:
    weights = folder.spec.weights
    return {
        "rainclear": importlib.metadata.version("rainclear"),
        "model": folder.spec.name,
        "network": descriptor.name,
        "weights_sha256": weights.sha256 if weights else None,
        "licence": weights.licence if weights else None,
        "format": kind,
        "precision": "int8" if options.int8 else "fp16" if options.half else "fp32",
        "size": list(options.size),
        "dynamic": options.dynamic,
        "size_multiple": descriptor.size_multiple,
        "inputs": list(signature.inputs),
        "outputs": list(signature.outputs),
        "feedback": signature.feedback,
        "initial_state": signature.initial,
    }
