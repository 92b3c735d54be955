"""Int8 for OpenVINO and ONNX files, accepted only if the pictures stay good."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from rainclear.errors import ConfigError, ModelError
from rainclear.export.artefact import Artefact
from rainclear.export.check import psnr, run_clip, runner
from rainclear.export.frames import rainy_pairs
from rainclear.export.int8_ranges import fed, halves, picture_ranges, rained
from rainclear.export.onnx_file import OnnxFile
from rainclear.export.openvino_file import OpenVinoFile
from rainclear.nn.ensemble import RESIZING
from rainclear.runtime.backends.graph import Graph
from rainclear.runtime.backends.openvino_quantise import quantise_openvino
from rainclear.runtime.backends.quiet import import_quietly

__all__ = ["MAX_LOSS_DB", "quantise"]

MAX_LOSS_DB = 0.2
"""PSNR that int8 may cost."""


def quantise(
    artefact: Artefact, graph: Graph, clip: Sequence[Tensor]
) -> tuple[Artefact, dict[str, Any]]:
    """Quantise to int8 and measure what that costs.

    The clip is rained on. Its first half calibrates; on the second half, in moderate rain, the PSNR
    against the clip itself is compared with the fp32 network's, state carried in both.

    Args:
        artefact: An ONNX or OpenVINO network in fp32; what is given may be changed.
        graph: The PyTorch network in fp32 that it was traced from.
        clip: Frames 1×3×H×W in [0, 1].

    Returns:
        The int8 network, and figures for the record.

    Raises:
        ConfigError: The clip is too short, or the format has no int8.
        ModelError: Int8 costs more than 0.2 dB.
    """
    first, clean = halves(clip)
    if isinstance(artefact, OpenVinoFile):
        result: Artefact = _by_ranges(artefact, graph, first)
    elif isinstance(artefact, OnnxFile):
        result = _by_onnxruntime(artefact, graph, first)
    else:
        raise ConfigError("--int8 needs --format onnx or openvino")
    # Over the whole clip, as rain goes on: no frame is judged in rain that calibrated.
    rainy = [frame for frame, _ in rainy_pairs(list(clip))[len(first) :]]
    before = psnr(run_clip(runner(graph), graph.signature, graph.network, rainy), clean)
    after = psnr(run_clip(result.run, graph.signature, graph.network, rainy), clean)
    loss = before - after
    if not loss <= MAX_LOSS_DB:
        raise ModelError(
            f"int8 costs {loss:.2f} dB on the calibration clip ({before:.2f} → {after:.2f} dB), "
            f"more than the {MAX_LOSS_DB} dB that are accepted; nothing was written: export "
            "without --int8, or calibrate with another clip"
        )
    figures = {"frames": len(clean), "psnr_fp32_db": before, "psnr_int8_db": after}
    return result, {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}


def _by_ranges(artefact: OpenVinoFile, graph: Graph, clean: Sequence[Tensor]) -> OpenVinoFile:
    quantise_openvino(artefact.model, graph, picture_ranges(graph, list(rained(clean).values())))
    inner = import_quietly("openvino._offline_transformations")
    inner.compress_quantize_weights_transformation(artefact.model)  # as bytes in the file too
    return OpenVinoFile(artefact.model)


def _by_onnxruntime(artefact: OnnxFile, graph: Graph, clean: Sequence[Tensor]) -> OnnxFile:
    import onnx
    from onnxruntime import quantization as q

    feeds = fed(graph, [frame for frame, _ in rainy_pairs(list(clean))])

    class Reader(q.CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    model = onnx.load_model_from_string(artefact.model)
    # Convolutions that give the outputs directly write pictures: 8 bits there are seen.
    last = _convolutions_near_outputs(model)
    with tempfile.TemporaryDirectory() as folder, _silent():
        target = Path(folder) / "int8.onnx"
        q.quantize_static(
            model,
            str(target),
            Reader(),
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=last,
            per_channel=True,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
        )
        return OnnxFile(target.read_bytes())


def _convolutions_near_outputs(model: Any) -> list[str]:
    """Names of the convolutions from which a graph output is reached without another one.

    Those that resize pictures are among them, and no others for this.
    """
    resizing = [node.name for node in model.graph.node if _resizes(node)]
    makers = {name: node for node in model.graph.node for name in node.output}
    found, queue, seen = [], [output.name for output in model.graph.output], set()
    while queue:
        node = makers.get(queue.pop())
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.op_type == "Conv" and not _resizes(node):
            found.append(node.name)
        else:
            queue.extend(node.input)
    return found + resizing


def _resizes(node: Any) -> bool:
    """Whether it is the convolution of a :class:`rainclear.nn.ensemble.Resize`."""
    return node.op_type == "Conv" and any(f"/{name}/" in node.name for name in RESIZING)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the log and what a library prints."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        logger.setLevel(level)
