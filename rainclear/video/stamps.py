"""Time stamps of an output: those of the frames, mended only where a container would refuse."""

from fractions import Fraction

from rainclear.frame import Frame

__all__ = ["Stamps"]

# Ticks; containers refuse more, and only damaged files have them.
_LONGEST = 2**31


class Stamps:
    """Gives each frame its pts and duration in the units of the output.

    Args:
        time_base: Seconds a unit of the output.
        rate: Frames a second, for frames that do not say when or how long.
        from_zero: Whether the first frame gets time zero, whatever its own.

    Attributes:
        shift: Seconds by which everything is later than in the source; known after the first
            frame, and zero unless the video began before time zero or is moved to it.
        last: Pts of the last frame, ``None`` before the first.
        notes: One line for each kind of mending.
    """

    def __init__(self, *, time_base: Fraction, rate: Fraction, from_zero: bool = False) -> None:
        self.shift = Fraction(0)
        self.last: int | None = None
        self.notes: list[str] = []
        self._time_base = time_base
        self._nominal = min(max(1, round(1 / rate / time_base)), _LONGEST - 1)
        self._from_zero = from_zero

    def go_on(self, last: int, shift: Fraction) -> None:
        """Continue where other stamps of the same video ended."""
        self.last, self.shift = last, shift

    def of(self, frame: Frame) -> tuple[int, int]:
        """Pts and duration of the next frame; each pts is greater than the one before."""
        factor = frame.time_base / self._time_base
        duration = round(frame.duration * factor) if frame.duration else self._nominal
        if not 0 < duration < _LONGEST:
            duration = self._nominal
        if frame.pts is None:
            pts = 0 if self.last is None else self.last + self._nominal
        else:
            pts = round(frame.pts * factor)
            if self.last is None and self._from_zero:
                self.shift = -pts * self._time_base
            elif self.last is None and pts < 0:
                self.shift = -pts * self._time_base
                self._note(
                    f"the video began before time zero; all is {float(self.shift):g} s later"
                )
            pts += round(self.shift / self._time_base)
        if self.last is not None and pts <= self.last:
            pts = self.last + 1
            self._note("some time stamps did not increase and were moved by the least step")
        self.last = pts
        return pts, duration

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
