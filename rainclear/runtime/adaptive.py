"""Derains as much of a live stream as there is time for: less when late, all when it can."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.frame import Frame
from rainclear.runtime.derainer import Derainer

__all__ = [
    "AdaptiveDerainer",
    "HalfSize",
    "Level",
    "Pace",
    "Untouched",
    "levels_of",
    "prepared_stream",
]

REALTIME = "d-daiam-rt"
_WEIGHT = 0.2


class Restorer(Protocol):
    """One way to derain, such as a :class:`rainclear.Derainer`."""

    @property
    def rain_score(self) -> float:
        """How rainy the last frame was, 0..1."""
        ...

    def prepare(self, size: tuple[int, int]) -> None:
        """Get ready for a stream of pictures of ``size``, height and width."""
        ...

    def process(self, rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Derain the next frame, H×W×3 RGB uint8 or uint16."""
        ...

    def reset(self) -> None:
        """Forget the frames seen so far."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """A way to derain, and its name in reports."""

    name: str
    restorer: Restorer


class HalfSize:
    """Derains a picture of half the size, a quarter of the work, and takes that rain off the whole.

    What the network took away is scaled up and taken from the picture itself, so that details stay
    sharp where there is no rain; thin streaks stay in part.

    Args:
        restorer: What derains the small picture.
    """

    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer

    @property
    def rain_score(self) -> float:
        """How rainy the last frame was, 0..1."""
        return self._restorer.rain_score

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._restorer.reset()

    def prepare(self, size: tuple[int, int]) -> None:
        """Get ready for a stream of pictures of ``size``, height and width."""
        self._restorer.prepare(_half(size))

    def process(self, rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Derain the next frame, H×W×3 RGB uint8 or uint16."""
        height, width = rgb.shape[:2]
        rows, columns = _half((height, width))
        small = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
        change = self._restorer.process(small).astype(np.float32) - small
        whole = rgb + cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR)
        clear: npt.NDArray[Any] = np.rint(whole.clip(0, np.iinfo(rgb.dtype).max)).astype(rgb.dtype)
        return clear


class Untouched:
    """Passes frames as they came."""

    rain_score = 0.0

    def prepare(self, size: tuple[int, int]) -> None:
        """Nothing to get ready."""

    def process(self, rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The frame itself."""
        return rgb

    def reset(self) -> None:
        """Nothing to forget."""


class Pace:
    """Chooses a level by the time that frames take and the time between them.

    A level is left for the next cheaper one when frames took longer there than they were apart, on
    average and ``patience`` times in a row. The better one is tried again after ``rest`` seconds.
    Where that does not last as long, the next rest is twice as long, up to ``longest_rest``, so
    that a machine that is too slow for a level is late seldom.

    Args:
        levels: Number of levels; 0 is the best and dearest.
        patience: Late frames in a row.
        rest: Seconds before a better level is tried.
        longest_rest: Seconds before it is tried after many failures.

    Attributes:
        level: The level for the next frame.
    """

    def __init__(
        self, levels: int, *, patience: int = 5, rest: float = 2.0, longest_rest: float = 60.0
    ) -> None:
        self._levels, self._patience = levels, patience
        self._rest = self._first_rest = rest
        self._longest_rest = longest_rest
        self.level = 0
        self._since: float | None = None
        self._cost: float | None = None
        self._gap: float | None = None
        self._late = 0
        self._climbed = False

    def note(self, *, now: float, seconds: float, gap: float | None) -> int:
        """Note one frame, and choose the level for the next.

        Args:
            now: The clock, seconds.
            seconds: Time that the frame took at this level.
            gap: Seconds between frames of the source, ``None`` if not known yet.
        """
        self._since = now if self._since is None else self._since
        self._gap = self._gap if gap is None else _mean(self._gap, gap)
        if self._gap is None:
            return self.level
        # One frame that was held up, by whatever it may be, does not count for many.
        self._cost = _mean(self._cost, min(seconds, 2 * self._gap))
        self._late = self._late + 1 if self._cost > self._gap else 0
        stayed = now - self._since
        if self._late >= self._patience and self.level + 1 < self._levels:
            failed = self._climbed and stayed < self._rest
            self._rest = min(self._longest_rest, 2 * self._rest) if failed else self._first_rest
            self._go(self.level + 1, now, climbed=False)
        elif self.level and not self._late and stayed >= self._rest:
            self._go(self.level - 1, now, climbed=True)
        return self.level

    def _go(self, level: int, now: float, *, climbed: bool) -> None:
        self.level, self._since, self._climbed = level, now, climbed
        self._cost, self._late = None, 0


class AdaptiveDerainer:
    """A network over live frames, and cheaper ways for when it cannot keep up; see :class:`Pace`.

    Args:
        levels: From the best to the cheapest; at least one.
        pace: Chooses among them.
        clock: Seconds, as ``time.monotonic``.

    Example:
        >>> derainer = AdaptiveDerainer(levels_of("d-daiam-s"))
        >>> with LiveFeed(lambda: open_capture("rtsp://camera/front")) as feed:
        ...     for frame in derainer.stream(feed):
        ...         show(frame, frame.metadata["level"])
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not levels:
            raise ValueError("at least one level is needed")
        self._levels, self._clock = tuple(levels), clock
        self._pace = pace or Pace(len(self._levels))

    def stream(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Derain frames that :class:`rainclear.runtime.feed.LiveFeed` gives.

        Yields:
            Each frame with ``metadata["rain_score"]``, and in ``metadata["level"]`` the name of the
            level that it was derained at.
        """
        last: tuple[float, int] | None = None
        current: Level | None = None
        first, frames = _peeked(frames)
        if first is not None:
            for level in self._levels:
                level.restorer.prepare((first.pixels.shape[0], first.pixels.shape[1]))
        for frame in frames:
            level = self._levels[self._pace.level]
            if level is not current:
                # What it remembers is older than the frames that others derained meanwhile.
                level.restorer.reset()
                current = level
            begun = self._clock()
            pixels = level.restorer.process(frame.pixels)
            now = self._clock()
            arrived = frame.metadata.get("captured", begun), frame.index
            self._pace.note(now=now, seconds=now - begun, gap=_gap(last, arrived))
            last = arrived
            notes = {"rain_score": level.restorer.rain_score, "level": level.name}
            yield replace(frame, pixels=pixels, metadata={**frame.metadata, **notes})


def levels_of(model: str = REALTIME, **options: Any) -> list[Level]:
    """A model, the real-time model if it is another one, that at half the size, and no deraining.

    Args:
        model: Name of a model or path of its folder.
        options: For :class:`rainclear.Derainer`; ``gate`` is used for ``model`` alone.

    Raises:
        ModelError: A model is unknown or its weights are not what was published.
        DeviceError: This machine has no such device or the network no such precision.
    """
    levels = [Level(name=model, restorer=Derainer(model, **options))]
    gate = options.pop("gate", False)
    if model != REALTIME:
        levels.append(Level(name=REALTIME, restorer=Derainer(REALTIME, **options)))
    cheapest = levels[-1].name
    small = Derainer(cheapest, gate=gate if cheapest == model else False, **options)
    levels.append(Level(name=f"{cheapest} at half size", restorer=HalfSize(small)))
    return [*levels, Level(name="untouched", restorer=Untouched())]


def prepared_stream(derainer: Derainer) -> Callable[[Iterable[Frame]], Iterator[Frame]]:
    """``derainer.stream`` for frames without end: made ready for the first of them."""

    def stream(frames: Iterable[Frame]) -> Iterator[Frame]:
        first, frames = _peeked(frames)
        if first is not None:
            derainer.prepare((first.pixels.shape[0], first.pixels.shape[1]))
        yield from derainer.stream(frames)

    return stream


def _peeked(frames: Iterable[Frame]) -> tuple[Frame | None, Iterable[Frame]]:
    """The first of the frames, and all of them."""
    rest = iter(frames)
    first = next(rest, None)
    return first, rest if first is None else chain([first], rest)


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 2), max(1, size[1] // 2)


def _mean(before: float | None, value: float) -> float:
    return value if before is None else before + _WEIGHT * (value - before)


def _gap(last: tuple[float, int] | None, now: tuple[float, int]) -> float | None:
    """Seconds between two frames of the source, the dropped ones between them counted."""
    if last is None or now[1] <= last[1]:
        return None
    return (now[0] - last[0]) / (now[1] - last[1])
