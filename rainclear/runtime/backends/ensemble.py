"""A self-ensemble on a graph runtime: the runtime has the network, this has its views."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from rainclear.nn.ensemble import SelfEnsemble, View
from rainclear.nn.output import Derained, Stage
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends.base import Backend, Program, byte_backend

__all__ = ["EnsembleBackend"]


class EnsembleBackend:
    """Runs the network of a :class:`rainclear.nn.ensemble.SelfEnsemble` for each of its views.

    A graph of the whole would hold the network once for each size, and none of what makes a
    runtime fast for the network alone: blocks of pixels, ranges for int8. Where the runtime takes
    pictures of 8 bits, views are of 8 bits; what they add to the frame is not.

    Args:
        program: The ensemble, and how it is to run.
        make: Makes the runtime's backend for a network.

    Raises:
        DeviceError: The runtime cannot run the network here.
        ModelError: It does not fit a graph.
    """

    def __init__(self, program: Program, make: Callable[[Program], Backend]) -> None:
        self._ensemble = cast(SelfEnsemble, program.network.to(program.device)).eval()
        inner = replace(program, network=self._ensemble.network, descriptor=NETWORKS["d-daiam-rt"])
        self._inner = make(inner)
        self._bytes = byte_backend(self._inner)
        self.name = self._inner.name

    @property
    def takes_bytes(self) -> bool:
        """Whether :meth:`run_bytes` runs it."""
        return self._bytes is not None

    def prepare(self, size: tuple[int, int]) -> None:
        """Build the graphs of all sizes for single frames of ``size``, by running them."""
        device = next(self._ensemble.parameters()).device
        self.run(torch.zeros(1, 3, *size, device=device), None)

    @torch.inference_mode()
    def run(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.Backend`."""
        if self._bytes is not None:
            levels = batch.mul(255).round_().clamp_(0, 255).to(torch.uint8)
            change, kept, stage = self._changed(levels, state)
            image = batch + change / 255
            previous = levels.float().add_(change).round_().clamp_(0, 255).to(torch.uint8)
            return _answer(image, (previous, *kept), stage)
        ensemble = self._ensemble
        previous, *memories = ensemble.initial_state(batch) if state is None else state
        previous, image, answers = previous.clamp(0, 1), batch, []
        for view, weight, memory in zip(ensemble.views, ensemble.weights, memories, strict=True):
            seen = view.seen(batch)
            answers.append(self._inner.run(seen, (view.seen(previous), memory)))
            image = image + weight * view.change(answers[-1].image, seen, batch.shape[2:])
        kept = [_state(answer)[1] for answer in answers]
        return _answer(image, (image, *kept), answers[0].stages[-1])

    @torch.inference_mode()
    def run_bytes(self, batch: Tensor, state: tuple[Tensor, ...] | None) -> Derained:
        """See :class:`rainclear.runtime.backends.base.ByteBackend`."""
        levels = batch.permute(0, 3, 1, 2)
        change, kept, stage = self._changed(levels, state)
        image = change.add_(levels).round_().clamp_(0, 255).to(torch.uint8)
        return _answer(image.contiguous(memory_format=torch.channels_last), (image, *kept), stage)

    def _changed(
        self, levels: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, list[Tensor], Stage]:
        """What to add to N×3×H×W uint8, in levels; the memories of all sizes; the first's stage."""
        backend, ensemble = cast(Any, self._bytes), self._ensemble
        total = torch.zeros(levels.shape).contiguous(memory_format=torch.channels_last)
        kept, stages = [], []
        memories = [None] * len(ensemble.views) if state is None else state[1:]
        for view, weight, memory in zip(ensemble.views, ensemble.weights, memories, strict=True):
            seen = _seen(view, levels)
            before = None
            if memory is not None and state is not None:
                before = backend.carried(_rows(_seen(view, state[0]))), memory
            out = backend.run_bytes(_rows(seen), before)
            total.add_(view.change(out.image.float(), seen, levels.shape[2:]), alpha=weight)
            kept.append(_state(out)[1])
            stages.append(out.stages[-1])
        return total, kept, stages[0]


def _state(answer: Derained) -> tuple[Tensor, ...]:
    assert answer.state is not None
    return answer.state


def _answer(image: Tensor, state: tuple[Tensor, ...], stage: Stage) -> Derained:
    return Derained(image, state, (stage._replace(image=image),))


def _seen(view: View, levels: Tensor) -> Tensor:
    """:meth:`View.seen` of 8 bits: the same kernel, in PyTorch's way for bytes."""
    resized = levels
    if view.scale != 1:
        size = view.size(levels.shape[2:])
        resized = F.interpolate(levels, size, mode="bicubic", antialias=True)
    return view.turned(resized)


def _rows(pictures: Tensor) -> Tensor:
    """N×3×H×W to N×H×W×3, contiguous."""
    return pictures.permute(0, 2, 3, 1).contiguous()
