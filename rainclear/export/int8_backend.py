"""The ranges that ``--backend openvino-int8`` runs with: found, judged and kept for this user."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from rainclear.errors import ModelError, OutputError
from rainclear.export.artefact import require_extra
from rainclear.export.check import psnr
from rainclear.export.frames import clip_frames
from rainclear.export.int8_ranges import (
    RAIN,
    Clip,
    Samples,
    convolutions,
    halves,
    picture_ranges,
    rained,
    shown,
)
from rainclear.export.quantise import MAX_LOSS_DB
from rainclear.nn.ensemble import SelfEnsemble
from rainclear.nn.recurrent import RecurrentDDAiAM
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.blocks import block_graph
from rainclear.runtime.backends.graph import Graph, signature_of
from rainclear.runtime.backends.int8_files import (
    INT8_REVISION,
    Int8Ranges,
    int8_file,
    weights_digest,
)
from rainclear.runtime.backends.int8_graph import EXACT, READERS, Int8Graph, quantisable
from rainclear.runtime.backends.layout import to_blocks
from rainclear.runtime.backends.measure import feed
from rainclear.runtime.backends.openvino import OpenVinoBackend
from rainclear.runtime.backends.openvino_int8 import OpenVinoInt8Backend
from rainclear.runtime.load import load_single, network_of
from rainclear.zoo import find_model

__all__ = ["find_ranges", "keep_int8"]

_SIZE = (360, 640)
_FRAMES = 24
_GOOD_DB = 45.0  # dry pictures this close to their source may lose more
_WIDEST = 8.0
"""Largest factor of a channel."""


def keep_int8(
    model: str, clips: Sequence[Path], *, size: tuple[int, int] = _SIZE, frames: int = _FRAMES
) -> tuple[Path, Int8Ranges]:
    """Find the ranges of a model for ``--backend openvino-int8`` and keep them in the user's cache.

    Args:
        model: Name of a model or path of its folder.
        clips: As in :func:`find_ranges`.
        size: As there.
        frames: As there.

    Returns:
        The file, and what is in it.

    Raises:
        ConfigError, InputError, ModelError: As there.
        OutputError: There is no cache folder, or it cannot be written to.
    """
    path = _place(load_single(model))
    ranges = find_ranges(model, clips, size=size, frames=frames)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_text(ranges.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"the ranges for int8 cannot be kept: {error}") from error
    return path, ranges


def _place(network: nn.Module) -> Path:
    """The file in the cache, before anything is measured."""
    try:
        path = int8_file(network, make=True)
    except OSError as error:
        raise OutputError(f"the ranges for int8 cannot be kept: {error}") from error
    if path is None:
        raise OutputError(
            "there is no cache folder to keep the ranges in; RAINCLEAR_CACHE names one"
        )
    return path


def find_ranges(
    model: str, clips: Sequence[Path], *, size: tuple[int, int] = _SIZE, frames: int = _FRAMES
) -> Int8Ranges:
    """What values a model's layers read, and what int8 with ranges for them costs.

    The clips are rained on. The first half of each tells the ranges, in moderate and heavy rain and
    dry: those with the least squared error of 256 steps. On the second half, in all three, the PSNR
    against the clip itself is compared with that in float, on OpenVINO, state carried in both.

    Args:
        model: Name of a model or path of its folder.
        clips: Videos, clean and in daylight.
        size: Height and width that they are scaled to, multiples of the network's.
        frames: Frames of each that are used.

    Raises:
        ConfigError: A clip is too short.
        InputError: One cannot be read.
        ModelError: The network does not fit a graph, OpenVINO is missing, or int8 costs more than
            0.2 dB.
    """
    require_extra("openvino", "openvino", "--int8")
    network = load_single(model)
    first, second = [], []
    for clip in clips:
        calibrates, judges = halves(clip_frames(clip, size, frames), str(clip))
        first.append(calibrates)
        second.append(judges)
    descriptor = network_of(find_model(model).spec.architecture)
    if isinstance(network, SelfEnsemble):  # each of its views is the network's
        network, descriptor = network.network, NETWORKS["d-daiam-rt"]
    program = Program(network=network, descriptor=descriptor, device=torch.device("cpu"))
    played = [pairs for clean in first for pairs in rained(clean).values()]
    factors: tuple[float, ...] = ()
    if block_graph(network, byte=True) is None:
        found = picture_ranges(Graph(network, signature_of(network, descriptor)).eval(), played)
    else:
        graph = Int8Graph(cast(RecurrentDDAiAM, network)).eval()
        factors = _factors(graph, played)
        graph.even_out(factors)
        found = _ranges(graph, played)
    ranges = Int8Ranges(
        revision=INT8_REVISION,
        weights=weights_digest(network),
        model=find_model(model).spec.name,
        clips=tuple(clip.name for clip in clips),
        frames=sum(map(len, second)),
        psnr_db={},
        ranges=found,
        factors=factors,
    )
    backends = OpenVinoBackend(program), OpenVinoInt8Backend(program, ranges)
    return ranges.model_copy(update={"psnr_db": _judge(*backends, second)})


def _factors(graph: Int8Graph, clips: Sequence[Clip]) -> tuple[float, ...]:
    """What makes the channels of the features as wide as the widest, at most eight times."""
    layers = dict(graph.named_modules())
    names = [name for name in READERS if name in layers]
    if names != list(READERS):
        return ()  # another encoder
    peaks = {name: torch.zeros(()) for name in names}

    def see(name: str, given: Tensor) -> None:
        peaks[name] = torch.maximum(peaks[name], given.abs().amax((0, 2, 3)))

    _watch(graph, names, see, clips)
    shares = torch.stack([peak / peak.max() for peak in peaks.values()]).amax(0)
    return tuple(round(float(f), 4) for f in (1 / shares).clamp(1, _WIDEST))


def _ranges(graph: Int8Graph, clips: Sequence[Clip]) -> dict[str, tuple[float, float]]:
    """The range of each layer that is to run in int8, by its name in the graph."""
    samples = Samples()
    _watch(graph, [name for name in convolutions(graph) if quantisable(name)], samples.add, clips)
    found = samples.ranges()
    low, high = -graph.middle, 255 - graph.middle
    return found | {name: (low, high) for name in EXACT if name in found}


@torch.inference_mode()
def _watch(
    graph: Int8Graph,
    names: Sequence[str],
    see: Callable[[str, Tensor], None],
    clips: Sequence[Clip],
) -> None:
    """Play clips in float, and show what the layers read."""
    with shown(graph, names, see):
        for clip in clips:
            frame, _, memory = graph.example((1, *clip[0][0].shape[2:]))
            state: tuple[Tensor, Tensor] | None = None
            for rainy, _ in clip:
                to_blocks(_levels(rainy), frame, graph.block)
                previous, _, kept = graph(frame, *(state or (frame, memory)))
                state = previous.contiguous(), kept


def _judge(
    before: OpenVinoBackend, after: OpenVinoInt8Backend, clean: Sequence[Sequence[Tensor]]
) -> dict[str, dict[str, float]]:
    """PSNR of both in rain and dry, over all clips.

    Raises:
        ModelError: It falls by more than 0.2 dB.
    """
    clips = [rained(frames) for frames in clean]
    figures = {}
    for kind in (*RAIN, "dry"):
        truth = [clean for clip in clips for _, clean in clip[kind]]
        float_db, int8_db = (
            psnr([p for clip in clips for p in _played(backend, clip[kind])], truth)
            for backend in (before, after)
        )
        figures[kind] = {"float": round(float_db, 3), "int8": round(int8_db, 3)}
        if not (float_db - int8_db <= MAX_LOSS_DB or (kind == "dry" and int8_db >= _GOOD_DB)):
            raise ModelError(
                f"int8 costs {float_db - int8_db:.2f} dB on the calibration clip ({kind}: "
                f"{float_db:.2f} → {int8_db:.2f} dB), more than the {MAX_LOSS_DB} dB that are "
                "accepted; nothing was kept: use --backend openvino, or calibrate with another clip"
            )
    return figures


def _played(backend: OpenVinoBackend, clip: Clip) -> list[Tensor]:
    """Pictures 1×3×H×W in [0, 1], state carried."""
    frames = [(255 * rainy).round().div(255) for rainy, _ in clip]
    run, given = feed(backend, frames)
    state, pictures = None, []
    for frame in given:
        out = run(frame, state)
        state = tuple(t.clone() for t in out.state or ())
        levels = out.image if out.image.dtype == torch.uint8 else out.image.mul(255).round()
        pictures.append(levels.float().clamp(0, 255).mul(1 / 255).contiguous())
    return pictures


def _levels(frame: Tensor) -> Tensor:
    """1×3×H×W in [0, 1] to 1×H×W×3 uint8."""
    return frame.permute(0, 2, 3, 1).mul(255).round().to(torch.uint8).contiguous()
