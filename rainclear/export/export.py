"""From a model's name to a checked file with a record of what it is inside."""

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from rainclear.errors import ConfigError, OutputError
from rainclear.export.artefact import FORMATS, SUFFIXES, Artefact, Format
from rainclear.export.check import compare, run_clip
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

__all__ = ["ExportOptions", "export_model", "format_of"]

_CHECKED = 4
_CALIBRATED = 48


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """How a network is exported.

    Attributes:
        size: Height and width of its input; of the checks and of the best speed where ``dynamic``.
        dynamic: Leave height and width free.
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
        ConfigError: There is no such format, or the name of the file tells none.
    """
    if name is not None:
        for known in get_args(Format):
            if known == name:
                return known
        raise ConfigError(f"--format {name!r} is unknown; use one of: {', '.join(FORMATS)}")
    for known, suffix in SUFFIXES.items():
        if output.suffix == suffix:
            return known
    suffixes = ", ".join(f"{f} ({s})" for f, s in SUFFIXES.items())
    raise ConfigError(f"{output}: its name tells no format; give --format, one of: {suffixes}")


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
    if kind == "openvino" and path.suffix != ".xml":
        raise ConfigError(f"{path}: OpenVINO writes two files, .xml and .bin; end the name in .xml")
    folder = find_model(model)
    descriptor = network_of(folder.spec.architecture)
    _check_options(kind, options, descriptor)
    reference = load_single(model)
    signature = signature_of(reference, descriptor)
    beside = {"openvino": ".bin", "tensorrt": ".json"}.get(kind)
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


def _check_options(kind: Format, options: ExportOptions, descriptor: Network) -> None:
    m = descriptor.size_multiple
    if any(side < m or side % m for side in options.size):
        height, width = options.size
        raise ConfigError(
            f"--size {height}x{width}: network {descriptor.name!r} takes multiples of {m}"
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
    wanted = Graph(reference, signature).eval()

    @torch.no_grad()
    def run(inputs: Any) -> list[Tensor]:
        return list(wanted(*inputs))

    # OpenVINO stores float16 itself and TensorRT chooses formats by layer; others run as traced.
    inside = options.half and kind in ("onnx", "torchscript", "exported")
    graph = Graph(load_single(model), signature, half=inside).eval() if inside else wanted
    inputs = example_inputs(reference, (1, *options.size))
    artefact = _artefact(kind, graph, inputs, options, descriptor.size_multiple)
    facts: dict[str, Any] = {"check": {}}
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
    for name, frames in clips.items():
        got = run_clip(artefact.run, signature, reference, frames)
        want = run_clip(run, signature, reference, frames)
        found = compare(name, got, want, reduced=options.half)
        source = {"clip": real.name} if name == "real" and real is not None else {}
        facts["check"][name] = found | source
    if options.calibrate is not None:
        clip = clip_frames(options.calibrate, options.size, _CALIBRATED)
        artefact, facts["int8"] = quantise(artefact, run, signature, reference, clip)
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
        return TensorRtFile.build(graph, inputs, dynamic=dynamic, half=half, multiple=multiple)
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
