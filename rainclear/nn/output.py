"""What every network returns, whatever its size or its number of stages."""

from typing import NamedTuple

from torch import Tensor, nn


class Branch(NamedTuple):
    """One rain type (streaks or drops) inside a stage.

    Attributes:
        attention: S⁺, N×1×H×W in [0, 1], 1 = heavy rain (Eq. 1); S⁻ = 1 - S⁺ (Eq. 2).
        heavy: D_heavy's picture, N×3×H×W, not clamped (Eq. 6). ``None`` where a network
            has no such picture, or builds it only in training.
        light: D_light's picture, as ``heavy`` (Eq. 7).
        image: The branch's own D_global picture inside a DAM (Eq. 8), or ``None``.
    """

    attention: Tensor
    heavy: Tensor | None
    light: Tensor | None
    image: Tensor | None


class Differentials(NamedTuple):
    """Both soft maps of Eq. 14, N×1×H×W (one for all colours) or N×3×H×W, in [0, 1].

    Attributes:
        to_input: A, from the difference to the rainy input.
        to_previous: B, from the difference to the output before.
    """

    to_input: Tensor
    to_previous: Tensor


class Stage(NamedTuple):
    """One stage of the heavy-to-light scheme (Section 3.5).

    Attributes:
        image: The stage's result, N×3×H×W, RGB, not clamped.
        streaks: The rain-streak branch, or ``None`` where the stage has none.
        drops: The raindrop branch, or ``None`` where the stage has none.
        differentials: The maps that this stage's input was made with; ``None`` in the first stage,
            or where a network does not show them.
    """

    image: Tensor
    streaks: Branch | None
    drops: Branch | None
    differentials: Differentials | None = None


class Derained(NamedTuple):
    """A network's answer: the picture, what to carry to the next frame, and how it came about.

    Attributes:
        image: The last stage's picture, N×3×H×W, RGB, not clamped.
        state: What the next frame's call takes as ``state``; ``None`` for stateless networks.
        stages: Every stage, first to last; never empty.
    """

    image: Tensor
    state: tuple[Tensor, ...] | None
    stages: tuple[Stage, ...]

    @property
    def streaks(self) -> Branch | None:
        """The last stage's rain-streak branch."""
        return self.stages[-1].streaks

    @property
    def drops(self) -> Branch | None:
        """The last stage's raindrop branch."""
        return self.stages[-1].drops


def show_details(network: nn.Module) -> nn.Module:
    """Ask for everything that a network otherwise builds in training alone; returns it.

    Networks that leave parts of their answer out in evaluation mode have an attribute ``details``.
    The result stays the same; it takes longer.
    """
    for module in network.modules():
        if isinstance(getattr(module, "details", None), bool):
            module.details = True  # type: ignore[assignment]
    return network
