"""The rain gate on a device: score, latch and choice of the picture without a word to the host."""

import math

import torch
from torch import Tensor

from rainclear.config import GateSpec
from rainclear.nn.output import Derained
from rainclear.runtime.gate import (
    FLOOR,
    QUANTILES,
    STATISTICS,
    RainReading,
    attention_maps,
    reading_values,
    statistics_rows,
)

__all__ = ["READING_SIZE", "DeviceGate", "reading_of"]

READING_SIZE = 6
"""Floats of a reading: score, open (1) or closed (0), heavy, light, streaks, drops."""


def reading_of(values: Tensor) -> RainReading:
    """The reading in :data:`READING_SIZE` floats of the host's memory."""
    score, is_open, heavy, light, streaks, drops = values.tolist()
    return RainReading(
        score=score, open=is_open != 0, heavy=heavy, light=light, streaks=streaks, drops=drops
    )


class DeviceGate:
    """What :class:`rainclear.runtime.gate.RainGate` does, in tensors that never leave the device.

    There the latch is a branch of the program, which needs the score on the host. Here it is two
    scalars on the device, so that a frame's gate costs no wait, and a CUDA graph can hold it.

    Args:
        spec: The calibration; without it the gate is always open.
        device: Where the network runs.
    """

    def __init__(self, spec: GateSpec | None, device: torch.device) -> None:
        self.spec = spec
        self._open = torch.zeros((), dtype=torch.bool, device=device)
        self._below = torch.zeros((), dtype=torch.int64, device=device)
        self._quantiles = torch.tensor(QUANTILES, device=device)
        self._always = torch.ones((), device=device)
        if spec is not None:
            parts = (spec.streaks, spec.drops)
            # In float64 as on the host, so that both gates open on the same frame.
            self._weights = torch.tensor(
                [[getattr(part, name) for name in STATISTICS] for part in parts],
                dtype=torch.float64,
                device=device,
            )
            self._missing = torch.full((len(STATISTICS),), math.log10(FLOOR), device=device)

    @property
    def resident(self) -> tuple[Tensor, ...]:
        """The latch: whether the gate is open, and scores in a row below ``off``."""
        return (self._open, self._below)

    def reset(self) -> None:
        """Forget the frames seen so far: begin closed. Queued like a frame."""
        self._open.zero_()
        self._below.zero_()

    def __call__(
        self, out: Derained, height: int, width: int, *, fresh: Tensor, reading: Tensor
    ) -> Tensor | None:
        """Read the next frame.

        Args:
            out: The network's answer, which may be padded beyond ``height`` and ``width``.
            height: Height of the frame.
            width: Its width.
            fresh: Scalar: whether a network that carries a state had none for this frame, or its
                encoder began anew.
            reading: Written: :data:`READING_SIZE` floats.

        Returns:
            Scalar: whether the derained picture goes on. ``None``: always.
        """
        maps = attention_maps(out, height, width)
        values = reading_values(maps)
        if values is None:
            reading.zero_()
        else:
            reading[0].copy_(values[0])
            reading[2:].copy_(values[1:])
        if self.spec is None:
            reading[1].copy_(self._always)
            return None
        rows = [
            self._missing if row is None else row for row in statistics_rows(maps, self._quantiles)
        ]
        logit = (torch.stack(rows).double() * self._weights).sum()
        logit = (logit + self.spec.bias + fresh * self.spec.fresh).clamp(-60.0, 60.0)
        score = 1.0 / (1.0 + torch.exp(-logit))
        self._turn(score, self.spec)
        reading[0].copy_(score)
        reading[1].copy_(self._open)
        return self._open

    def _turn(self, score: Tensor, spec: GateSpec) -> None:
        """One step of :class:`rainclear.runtime.gate.Hysteresis`."""
        quiet = self._open & (score < spec.off)
        self._below.copy_(torch.where(quiet, self._below + 1, 0))
        self._open.copy_(torch.where(self._open, self._below < spec.hold, score >= spec.on))
