"""Does an exported network give the pictures of the PyTorch one?"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.errors import ModelError
from rainclear.export.artefact import Run
from rainclear.nn.unveil import Unveil
from rainclear.runtime.backends.base import start_state
from rainclear.runtime.backends.graph import Graph, Signature

__all__ = ["cells_as_traced", "compare", "psnr", "run_clip", "runner"]

_EXACT = 2 / 255
_LEAST_DB = {"fp16": 45.0, "int8": 0.0}  # what int8 costs is judged against clean pictures


def runner(graph: Graph) -> Run:
    """Runs the PyTorch network."""

    @torch.no_grad()
    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        return list(graph(*inputs))

    return run


@contextmanager
def cells_as_traced(graph: Graph, inputs: Sequence[Tensor]) -> Iterator[None]:
    """Meanwhile the veil is found on cells as large as for ``inputs``, whatever size comes.

    So do files for all sizes, which keep the cells that they were traced with; see
    :meth:`rainclear.nn.unveil.Unveil.side`.

    Args:
        graph: The network to be compared with.
        inputs: What the file was traced with.
    """
    sides: list[int] = []
    parts = [part for part in graph.modules() if isinstance(part, Unveil)]
    for part in parts:
        part.side = _recorded(part.side, sides)  # type: ignore[method-assign, assignment]
    try:
        runner(graph)(inputs)
        again = itertools.cycle(sides)
        for part in parts:
            part.side = lambda rows: next(again)  # type: ignore[method-assign]
        yield
    finally:
        for part in parts:
            del part.side


def _recorded(side: Callable[[int], int], sides: list[int]) -> Callable[[int], int]:
    def record(rows: int) -> int:
        sides.append(side(rows))
        return sides[-1]

    return record


def run_clip(
    run: Run, signature: Signature, network: nn.Module, frames: Iterable[Tensor]
) -> list[Tensor]:
    """The clamped pictures of a clip, the state fed back as the signature says.

    Args:
        run: Runs one frame.
        signature: Names of its inputs and outputs.
        network: Says what the state is before the first frame.
        frames: 1×3×H×W in [0, 1], of one size.
    """
    pictures = []
    state: list[Tensor] | None = None
    for frame in frames:
        if state is None:
            state = [t.clone() for t in start_state(network, frame)]
        named = dict(zip(signature.outputs, run([frame, *state]), strict=True))
        state = [named[source].clone() for source in signature.feedback.values()]
        pictures.append(named["image"].clamp(0, 1).clone())
    return pictures


def compare(
    name: str, got: Sequence[Tensor], wanted: Sequence[Tensor], *, precision: str
) -> dict[str, Any]:
    """Differences of two clips for the record.

    Args:
        name: What the frames are, for the error.
        got: Pictures of the exported network.
        wanted: Pictures of the PyTorch network in fp32.
        precision: Of the export: fp32, where no pixel may differ by more than 2/255; fp16, which
            must reach 45 dB; int8, of which only numbers are asked.

    Returns:
        Number of frames, largest difference in levels of 0..255, PSNR in dB.

    Raises:
        ModelError: They differ too much.
    """
    worst = max(float((a - b).abs().max()) for a, b in zip(got, wanted, strict=True))
    quality = psnr(got, wanted)
    least = _LEAST_DB.get(precision)
    if not (worst <= _EXACT if least is None else quality >= least):  # not: NaN fails too
        raise ModelError(
            f"the exported network differs from PyTorch by up to {255 * worst:.1f} levels "
            f"({quality:.1f} dB) on {name} frames; nothing was written"
        )
    return {
        "frames": len(got),
        "max_difference_levels": round(255 * worst, 4),
        "psnr_db": round(min(quality, 150.0), 2),
    }


def psnr(got: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Mean PSNR in dB of pictures in [0, 1], at most 150 dB for each."""
    errors = (float((a - b).square().mean()) for a, b in zip(got, wanted, strict=True))
    values = [-10 * torch.log10(torch.tensor(max(e, 1e-15) if e == e else e)) for e in errors]
    return float(torch.stack(values).mean())
