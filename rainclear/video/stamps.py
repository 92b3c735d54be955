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

    Attributes:
        shift: Seconds by which everything is later than in the source; known after the first
            frame, and zero unless the video began before time zero.
        notes: One line for each kind of mending.
    """

    def __init__(self, *, time_base: Fraction, rate: Fraction) -> None:
        self.shift = Fraction(0)
        self.notes: list[str] = []
        self._time_base = time_base
        self._nominal = min(max(1, round(1 / rate / time_base)), _LONGEST - 1)
        self._last: int | None = None

    def of(self, frame: Frame) -> tuple[int, int]:
        """Pts and duration of the next frame; each pts is greater than the one before."""
        factor = frame.time_base / self._time_base
        duration = round(frame.duration * factor) if frame.duration else self._nominal
        if not 0 < duration < _LONGEST:
            duration = self._nominal
        if frame.pts is None:
            pts = 0 if self._last is None else self._last + self._nominal
        else:
            pts = round(frame.pts * factor)
            if self._last is None and pts < 0:
                self.shift = -pts * self._time_base
                self._note(
                    f"the video began before time zero; all is {float(self.shift):g} s later"
                )
            pts += round(self.shift / self._time_base)
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
            self._note("some time stamps did not increase and were moved by the least step")
        self._last = pts
        return pts, duration

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
