"""A part of a video: which frames are kept, and where they lie in the time of the file."""

import re
from dataclasses import dataclass
from fractions import Fraction

from rainclear.errors import ConfigError

__all__ = ["Cut", "Part", "Position", "seconds_of"]

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The frames to keep, by their time since the first frame of the video.

    Attributes:
        start: Seconds; frames shown earlier are left out.
        end: Seconds; frames shown then or later are left out. ``None`` for no such limit.
        frames: At most so many are kept, counted from ``start``; ``None`` for no such limit.

    Raises:
        ConfigError: Nothing could lie in such a part.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is empty."""
        if self.start < 0:
            raise ConfigError(f"a part cannot start at {float(self.start):g} s, before the video")
        if self.end is not None and self.end <= self.start:
            raise ConfigError(
                f"the part from {float(self.start):g} to {float(self.end):g} s is empty; "
                "the end must be later than the start"
            )
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"a part of {self.frames} frames is empty; ask for at least 1")

    @property
    def whole(self) -> bool:
        """Whether this is all of the video."""
        return self == Part()

    def expected(self, frames: int | None, rate: Fraction | None) -> int | None:
        """Frames of the part of a video that has ``frames`` at ``rate``; ``None`` if unknown."""
        if rate is not None:
            left = None if frames is None else max(0, frames - round(self.start * rate))
            until = None if self.end is None else round((self.end - self.start) * rate)
        else:
            left, until = (None, None) if self.start else (frames, None)
        known = [n for n in (left, until, self.frames) if n is not None]
        return min(known, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A frame that was delivered by an earlier pass over the same part of the same file.

    Attributes:
        pts: Its stamp in the time base of the video.
        index: Its number in the part, from 0.
    """

    pts: int
    index: int


@dataclass(kw_only=True, slots=True)
class Cut:
    """Where the kept part lies, in seconds of the file's own time.

    Attributes:
        begin: Time of the first frame kept, which becomes time zero; ``None`` if the part begins
            where the video does, and nothing is moved.
        end: Time from which on nothing is kept; ``None`` if nothing is cut off, or if the first
            frame that is left out was not met yet.
        expected_end: What ``end`` will be about, for what has to be written before it is known.
    """

    begin: Fraction | None = None
    end: Fraction | None = None
    expected_end: Fraction | None = None


def seconds_of(text: str) -> Fraction:
    """A time as users write it: seconds (``90``, ``1.5``) or a clock (``01:30``, ``1:02:03.5``).

    Raises:
        ConfigError: It is neither.
    """
    found = _CLOCK.fullmatch(text.strip())
    if found is None or (found[2] and float(found[3]) >= 60):
        raise ConfigError(f"{text!r} is not a time; write seconds (90, 1.5) or HH:MM:SS (00:01:30)")
    hours, minutes, seconds = (Fraction(group or 0) for group in found.groups())
    return 3600 * hours + 60 * minutes + seconds
