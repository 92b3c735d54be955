"""Int8 with NNCF (OpenVINO) or ONNX Runtime, accepted only if the pictures stay good."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rainclear.errors import ConfigError, ModelError
from rainclear.export.artefact import Artefact, Run, require_extra
from rainclear.export.check import psnr, run_clip
from rainclear.export.frames import rainy_pairs
from rainclear.export.onnx_file import OnnxFile
from rainclear.export.openvino_file import OpenVinoFile
from rainclear.runtime.backends.base import start_state
from rainclear.runtime.backends.graph import Signature
from rainclear.runtime.backends.quiet import import_quietly

__all__ = ["MAX_LOSS_DB", "nncf_quantise", "quantise"]

MAX_LOSS_DB = 0.2
"""PSNR that int8 may cost."""

_LEAST_FRAMES = 4


def quantise(
    artefact: Artefact,
    reference: Run,
    signature: Signature,
    network: nn.Module,
    clip: Sequence[Tensor],
) -> tuple[Artefact, dict[str, Any]]:
    """Quantise to int8 and measure what that costs.

    The clip is rained on. Its first half calibrates; on the second half the PSNR against the clip
    itself is compared with the fp32 network's, state carried in both.

    Args:
        artefact: An ONNX or OpenVINO network in fp32.
        reference: Runs the PyTorch network in fp32.
        signature: Names of inputs and outputs.
        network: Says what the state is before the first frame.
        clip: Frames 1×3×H×W in [0, 1].

    Returns:
        The int8 network, and figures for the record.

    Raises:
        ConfigError: The clip is too short, or the format has no int8.
        ModelError: NNCF is missing, or int8 costs more than 0.2 dB.
    """
    if len(clip) < 2 * _LEAST_FRAMES:
        raise ConfigError(
            f"--calibrate: the clip has {len(clip)} frames; at least {2 * _LEAST_FRAMES} are needed"
        )
    pairs = rainy_pairs(list(clip))
    half = len(pairs) // 2
    feeds = _feeds(reference, signature, network, [rainy for rainy, _ in pairs[:half]])
    if isinstance(artefact, OpenVinoFile):
        result: Artefact = _by_nncf(artefact, feeds)
    elif isinstance(artefact, OnnxFile):
        result = _by_onnxruntime(artefact, signature, feeds)
    else:
        raise ConfigError("--int8 needs --format onnx or openvino")
    rainy, clean = [r for r, _ in pairs[half:]], [c for _, c in pairs[half:]]
    before = psnr(run_clip(reference, signature, network, rainy), clean)
    after = psnr(run_clip(result.run, signature, network, rainy), clean)
    loss = before - after
    if not loss <= MAX_LOSS_DB:
        raise ModelError(
            f"int8 costs {loss:.2f} dB on the calibration clip ({before:.2f} → {after:.2f} dB), "
            f"more than the {MAX_LOSS_DB} dB that are accepted; nothing was written: export "
            "without --int8, or calibrate with another clip"
        )
    figures = {"frames": len(clean), "psnr_fp32_db": before, "psnr_int8_db": after}
    return result, {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}


def _feeds(
    reference: Run, signature: Signature, network: nn.Module, frames: Sequence[Tensor]
) -> list[dict[str, Any]]:
    """Inputs of each frame with the state that belongs to it, as arrays by name."""
    feeds = []
    state = [t.clone() for t in start_state(network, frames[0])]
    for frame in frames:
        inputs = [frame, *state]
        named = dict(zip(signature.outputs, reference(inputs), strict=True))
        state = [named[source].clone() for source in signature.feedback.values()]
        arrays = [t.contiguous().numpy() for t in inputs]
        feeds.append(dict(zip(signature.inputs, arrays, strict=True)))
    return feeds


def _by_nncf(artefact: OpenVinoFile, feeds: list[dict[str, Any]]) -> OpenVinoFile:
    return OpenVinoFile(nncf_quantise(artefact.model, feeds))


def nncf_quantise(
    model: Any, feeds: list[dict[str, Any]], *, keep: Sequence[str] = (), correct: bool = True
) -> Any:
    """An ``openvino.Model`` in int8.

    Args:
        model: In float.
        feeds: Inputs by name to calibrate with.
        keep: Patterns of the names of what stays in float.
        correct: Shift biases by what quantisation changes on average; that helps frames like those
            that calibrate, and harms others.
    """
    require_extra("nncf", "openvino", "--int8")
    nncf = import_quietly("nncf")
    with _silent("nncf"):
        return nncf.quantize(
            model,
            nncf.Dataset(feeds),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(feeds),
            ignored_scope=nncf.IgnoredScope(patterns=list(keep), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=not correct
            ),
        )


def _by_onnxruntime(
    artefact: OnnxFile, signature: Signature, feeds: list[dict[str, Any]]
) -> OnnxFile:
    import onnx
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    model = onnx.load_model_from_string(artefact.model)
    # Convolutions that give the outputs directly write pictures: 8 bits there are seen.
    last = _convolutions_near_outputs(model)
    with tempfile.TemporaryDirectory() as folder, _silent(None):
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
    """Names of the convolutions from which a graph output is reached without another one."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found, queue, seen = [], [output.name for output in model.graph.output], set()
    while queue:
        node = makers.get(queue.pop())
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.op_type == "Conv":
            found.append(node.name)
        else:
            queue.extend(node.input)
    return found


@contextlib.contextmanager
def _silent(name: str | None) -> Iterator[None]:
    """Without the log and the progress bars of a library."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(None):
            yield
    finally:
        logger.setLevel(level)
