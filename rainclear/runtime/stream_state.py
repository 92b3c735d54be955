"""What a derainer knows of the frames before."""

from dataclasses import dataclass

from torch import Tensor

from rainclear.runtime.hysteresis import GateState

__all__ = ["StreamState"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamState:
    """What goes on from frame to frame of one stream.

    Attributes:
        network: The state of the network, ``None`` at the beginning and for stateless networks.
        frames: Frames that it is of.
        in_bytes: Whether that is the state of a backend that takes bytes; ``None`` for unknown.
        thumbnail: The coarse picture 1×3×h×w by which cuts are found.
        size: Height and width of the last frame.
        gate: Where the rain gate stands; ``None`` without a gate.
    """

    network: tuple[Tensor, ...] | None = None
    frames: int = 0
    in_bytes: bool | None = None
    thumbnail: Tensor | None = None
    size: tuple[int, int] | None = None
    gate: GateState | None = None
