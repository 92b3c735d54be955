"""The int8 model that ``--backend openvino-int8`` runs: made, judged and kept for this user."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rainclear.errors import ConfigError, ModelError, OutputError
from rainclear.export.artefact import RECORD, require_extra
from rainclear.export.check import psnr
from rainclear.export.frames import clip_frames, rainy_pairs
from rainclear.export.quantise import MAX_LOSS_DB, nncf_quantise
from rainclear.runtime.backends.blocks import (
    BLOCK_INPUTS,
    BLOCK_OUTPUTS,
    MIDDLE,
    BlockGraph,
    block_graph,
)
from rainclear.runtime.backends.graph import traced
from rainclear.runtime.backends.int8_files import int8_file
from rainclear.runtime.backends.layout import from_blocks, to_blocks
from rainclear.runtime.backends.quiet import import_quietly
from rainclear.runtime.load import load_single

__all__ = ["keep_int8"]

_SIZE = (360, 640)
_FRAMES = 24
_LEAST_FRAMES = 8
_CALIBRATED = ("moderate", "heavy")
_GOOD_DB = 45.0  # dry pictures this close to their source may lose more

# What takes the picture in and what gives it: 8 bits there are seen. "reduce" is that of the
# differentials and the context, "expand" theirs and the memory's; the last two lines are the
# veil's layers and what the rain gate reads. Each has to fit a layer's whole name.
_FLOAT = (
    r"/same/.*",
    r"/stem.*",
    r"/colour/.*",
    r"/gain/.*",
    r"/offset.*",
    r"/coarse_image/.*",
    r"/refined/.*",
    r".*/reduce/.*",
    r".*/expand/.*",
    r"/(read|mix|around\.\d|fuse\.\d|frame|expand)/.*",
    r"/shown/.*",
)

Clip = list[tuple[Tensor, Tensor]]


def keep_int8(
    model: str, clip: Path, *, size: tuple[int, int] = _SIZE, frames: int = _FRAMES
) -> tuple[Path, dict[str, Any]]:
    """Quantise a model for ``--backend openvino-int8`` and keep it in the user's cache.

    The clip is rained on. Its first half calibrates, in moderate and heavy rain and dry; on the
    second half, in all three, the PSNR against the clip itself is compared with the unquantised
    graph's, state carried in both. Convolutions that take or give pictures are not quantised.

    Args:
        model: Name of a model or path of its folder.
        clip: Video, clean and in daylight.
        size: Height and width that it is scaled to, multiples of the network's.
        frames: Frames of it that are used.

    Returns:
        The file, and the figures, which it also holds as metadata.

    Raises:
        ConfigError: The clip is too short.
        InputError: It cannot be read.
        ModelError: The network has no graph over blocks, a package is missing, or int8 costs more
            than 0.2 dB. Nothing is kept then.
        OutputError: There is no cache folder, or it cannot be written to.
    """
    for package in ("openvino", "nncf"):
        require_extra(package, "openvino", "--int8")
    network = load_single(model)
    graph = block_graph(network, byte=True)
    if graph is None:
        raise ModelError(
            f"model {model!r} has no graph over blocks of pixels, which --backend openvino-int8 "
            "runs; give --out FILE to export an int8 file instead"
        )
    clean = clip_frames(clip, size, frames)
    if len(clean) < _LEAST_FRAMES:
        raise ConfigError(
            f"--calibrate: the clip has {len(clean)} frames; at least {_LEAST_FRAMES} are needed"
        )
    half = len(clean) // 2
    before = _Player(graph, _model(graph, size), size)
    feeds: list[dict[str, Any]] = []
    for kind in _CALIBRATED:
        before.play([rainy for rainy, _ in rainy_pairs(clean[:half], kind)], feeds)
    before.play(clean[:half], feeds)
    quantised = nncf_quantise(_model(graph, size), feeds, keep=_FLOAT, correct=False)
    after = _Player(graph, quantised, size)
    figures = _judge(before, after, clean[half:])
    record = {"model": model, "clip": clip.name, "frames": len(clean) - half, "psnr_db": figures}
    return _save(quantised, network, record), record


def _judge(
    before: "_Player", after: "_Player", clean: Sequence[Tensor]
) -> dict[str, dict[str, float]]:
    """PSNR of both in rain and dry.

    Raises:
        ModelError: It falls by more than 0.2 dB.
    """
    clips: dict[str, Clip] = {k: rainy_pairs(list(clean), k) for k in _CALIBRATED}
    clips["dry"] = [(frame, frame) for frame in clean]
    figures = {}
    for kind, pairs in clips.items():
        rainy, truth = [r for r, _ in pairs], [c for _, c in pairs]
        float_db, int8_db = (psnr(p.play(rainy), truth) for p in (before, after))
        figures[kind] = {"float": round(float_db, 3), "int8": round(int8_db, 3)}
        if not (float_db - int8_db <= MAX_LOSS_DB or (kind == "dry" and int8_db >= _GOOD_DB)):
            raise ModelError(
                f"int8 costs {float_db - int8_db:.2f} dB on the calibration clip ({kind}: "
                f"{float_db:.2f} → {int8_db:.2f} dB), more than the {MAX_LOSS_DB} dB that are "
                "accepted; nothing was kept: use --backend openvino, or calibrate with another clip"
            )
    return figures


def _model(graph: BlockGraph, size: tuple[int, int]) -> Any:
    """The graph, height and width left free, as the file is to serve every size."""
    axes = {name: {1: f"{name}_h", 2: f"{name}_w"} for name in (*BLOCK_INPUTS, *BLOCK_OUTPUTS)}
    names = BLOCK_INPUTS, BLOCK_OUTPUTS
    model = traced(graph, graph.example((1, *size)), names=names, axes=axes)
    return import_quietly("openvino").Core().read_model(model)


class _Player:
    """Plays clips through an OpenVINO model of a graph over blocks."""

    def __init__(self, graph: BlockGraph, model: Any, size: tuple[int, int]) -> None:
        model = model.clone()
        inputs = zip(BLOCK_INPUTS, graph.example((1, *size)), strict=True)
        model.reshape({name: list(tensor.shape) for name, tensor in inputs})
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        core = import_quietly("openvino").Core()
        self._graph = graph
        self._compiled = core.compile_model(model, "CPU", settings)

    def play(
        self, frames: Sequence[Tensor], feeds: list[dict[str, Any]] | None = None
    ) -> list[Tensor]:
        """Pictures 1×3×H×W of frames alike, state carried; ``feeds`` gets what went in."""
        height, width = frames[0].shape[2:]
        block, _, memory = self._graph.example((1, height, width))
        cut = torch.empty(block.shape, dtype=torch.uint8)
        state = None
        pictures = []
        for frame in frames:
            levels = frame.permute(0, 2, 3, 1).mul(255).round().to(torch.uint8).contiguous()
            to_blocks(levels, cut, self._graph.block)
            torch.sub(cut, MIDDLE, out=block)
            state = state or (block.numpy().copy(), memory.numpy())
            inputs = [block.numpy().copy(), *state]
            if feeds is not None:
                feeds.append(dict(zip(BLOCK_INPUTS, inputs, strict=True)))
            image, carried, _, kept = (np.array(v) for v in self._compiled(inputs).values())
            state = carried, kept
            from_blocks(torch.from_numpy(image), levels, self._graph.block)
            pictures.append(levels.permute(0, 3, 1, 2).float().mul(1 / 255).contiguous())
        return pictures


def _save(model: Any, network: torch.nn.Module, record: dict[str, Any]) -> Path:
    openvino = import_quietly("openvino")
    try:
        path = int8_file(network, make=True)
        if path is None:
            raise OutputError(
                "there is no cache folder to keep the int8 model in; RAINCLEAR_CACHE names one"
            )
        model.set_rt_info(json.dumps(record), [RECORD])
        partial = path.with_name(f".{os.getpid()}.xml")
        openvino.save_model(model, str(partial), compress_to_fp16=False)
        os.replace(partial.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"the int8 model cannot be kept: {error}") from error
    return path
