"""When a gate opens and closes, by the scores of the frames."""

from dataclasses import dataclass

__all__ = ["GateState", "Hysteresis"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GateState:
    """Whether a gate is open, and how many scores in a row were low."""

    open: bool = False
    below: int = 0


class Hysteresis:
    """Opens when a score reaches ``on``; closes after ``hold`` scores in a row below ``off``.

    Rain between wiper strokes or gusts so does not make the picture flicker. It begins closed.
    """

    def __init__(self, *, on: float, off: float, hold: int) -> None:
        self._on, self._off, self._hold = on, off, hold
        self.reset()

    @property
    def state(self) -> GateState:
        """What the scores so far come to."""
        return GateState(open=self._open, below=self._below)

    def restore(self, state: GateState) -> None:
        """Go on from a state."""
        self._open, self._below = state.open, state.below

    def reset(self) -> None:
        """Begin again, closed."""
        self.restore(GateState())

    def __call__(self, score: float) -> bool:
        """Whether the gate is open for the next frame, whose score this is."""
        if not self._open:
            self._open = score >= self._on
            self._below = 0
            return self._open
        self._below = self._below + 1 if score < self._off else 0
        if self._below >= self._hold:
            self._open = False
        return self._open
