"""Puts a video stream into a container, and what is copied from the source between its packets."""

import math
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from rainclear.video.part import Cut
from rainclear.video.source import url_of
from rainclear.video.streams import MOV_FAMILY, StreamCopier

__all__ = ["Muxer"]

_MAX_TIMESCALE = 2**31 - 1


class Muxer:
    """A container with one video stream, for which packets come in order of decoding.

    An encoder adds its stream to ``container``; then come ``copy``, if anything is, and ``begin``.

    Args:
        path: The file to write; its suffix names the container.

    Attributes:
        container: The container.

    Raises:
        OSError: The file cannot be written, or is of no kind that FFmpeg knows; as FFmpeg's error.
    """

    def __init__(self, path: Path) -> None:
        self.container = av.open(url_of(path), "w")
        self._copier: StreamCopier | None = None
        self._in_mov = self.container.format.name in MOV_FAMILY
        self._first: int | None = None
        self._start: int | None = None
        self._end = 0

    def copy(
        self, source: Path, beside: VideoStream, *, stream: int | None, cut: Cut | None
    ) -> list[str]:
        """Copy sound, subtitles, chapters and tags; arguments are those of ``StreamCopier``.

        Returns:
            One line for each thing that cannot be copied; more may be added later.
        """
        self._copier = StreamCopier(source, self.container, beside, stream=stream, cut=cut)
        return self._copier.notes

    def begin(self, time_base: Fraction) -> None:
        """Write the header.

        Args:
            time_base: That of the video stream.
        """
        if self._in_mov:
            self.container.container_options["movie_timescale"] = str(self._timescale(time_base))
        self.container.start_encoding()

    def shift(self, seconds: Fraction) -> None:
        """Move what is copied later by so much, as the frames were."""
        if self._copier:
            self._copier.shift = seconds

    def put(self, packets: "list[Packet[VideoStream]]", *, last: bool = False) -> None:
        """Write packets.

        Args:
            packets: The next ones, in order of decoding.
            last: Whether they end the stream.
        """
        for packet in packets:
            if packet.pts is not None:
                # Frames come before those that are predicted from them: this one is shown first.
                self._first = packet.pts if self._first is None else self._first
                self._end = max(self._end, packet.pts + (packet.duration or 0))
            if packet.dts is not None:
                self._start = packet.dts if self._start is None else self._start
                if last and packet is packets[-1] and self._in_mov:
                    # MP4 adds up durations in order of decoding, where the frame that is shown
                    # last is not the last one; without this a long one would be cut short.
                    missing = self._end - (self._first or 0) - (packet.dts - self._start)
                    packet.duration = max(packet.duration or 0, missing)
            stamp = packet.dts if packet.dts is not None else packet.pts
            if self._copier and stamp is not None:
                self._copier.copy_until(stamp * packet.time_base - self._copier.shift)
            self.container.mux(packet)

    def finish(self) -> None:
        """Copy what is left, and complete the file."""
        if self._copier:
            self._copier.copy_until(None)
        self.container.close()

    def close(self) -> None:
        """Give up what is open; harmless when repeated."""
        try:
            if self._copier:
                self._copier.close()
        finally:
            with suppress(av.FFmpegError, OSError, ValueError, RuntimeError):
                self.container.close()
            self._copier = None

    def _timescale(self, time_base: Fraction) -> int:
        """A tick in which the start of every stream is whole: MP4 rounds starts to it."""
        scale = time_base.denominator
        for rate in [1000, *(self._copier.rates if self._copier else [])]:
            common = math.lcm(scale, rate)
            scale = common if common <= _MAX_TIMESCALE else scale
        return scale
