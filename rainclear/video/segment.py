"""Stretches of one video, encoded each by an encoder of its own, and joined without encoding anew.

Every segment begins with a key frame and refers to nothing outside of it. Its packets lie one after
the other in a plain file; a table tells them apart. No container is involved, as none keeps every
stamp of every codec as it is.
"""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self, cast

import av
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.stream import VideoStream

from rainclear.errors import OutputError
from rainclear.frame import Frame
from rainclear.video.frame_encoder import FrameEncoder
from rainclear.video.probe import VideoInfo
from rainclear.video.stamps import Stamps

__all__ = ["PacketTable", "SegmentWriter", "encoded_packets"]

_NONE = np.iinfo(np.int64).min
_COLUMNS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class PacketTable:
    """What is known of the packets of a segment.

    Attributes:
        rows: N×5 int64, in order of decoding: pts, dts (least value for none), duration, all three
            in the time base of the source, bytes, and whether it is a key frame.
        extradata: What decoders need besides the packets; the same for all segments.
    """

    rows: npt.NDArray[np.int64]
    extradata: bytes

    @property
    def shown(self) -> npt.NDArray[np.int64]:
        """The pts in order of display."""
        return np.sort(self.rows[:, 0])

    @property
    def delay(self) -> int:
        """Frames by which decoding runs ahead of display."""
        pts, dts = self.rows[:, 0], self.rows[:, 1]
        ranks = np.argsort(np.argsort(pts, kind="stable"), kind="stable")
        needed = int((np.arange(len(pts)) - ranks).max(initial=0))
        declared = int(((dts != _NONE) & (dts < pts.min(initial=0))).sum()) if len(pts) else 0
        return max(needed, declared)


class _Nowhere(io.BytesIO):
    """A file that only has a name, for FFmpeg to tell the container by."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class SegmentWriter:
    """Encodes the frames of one segment into a file of packets; a context manager.

    Args:
        path: The file to write.
        container: Name of the video that the segments will be joined to; its suffix counts.
        info: The source.
        size: Width and height as stored.
        codec: FFmpeg name of the encoder.
        crf: Quality in the encoder's own scale; ``None`` for its default.
        preset: Speed in the encoder's own words; ``None`` for its default.
        threads: Encoder threads; the same for all segments.
        stamps: Gives the frames their stamps, and goes on from segment to segment.
        number: Frames in the segments before.
        avoid_avx512: As in ``FrameEncoder``.

    Raises:
        OutputError: Codec and options do not go together.
        OSError: The file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        container: str,
        info: VideoInfo,
        size: tuple[int, int],
        codec: str,
        crf: float | None,
        preset: str | None,
        threads: int,
        stamps: Stamps,
        number: int,
        avoid_avx512: bool = False,
    ) -> None:
        self._stamps = stamps
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._extradata = b""
        self._container = av.open(_Nowhere(container), "w")
        self._file = path.open("wb")
        try:
            self._encoder = FrameEncoder(
                self._container,
                info=info,
                size=size,
                codec=codec,
                crf=crf,
                preset=preset,
                threads=threads,
                number=number,
                avoid_avx512=avoid_avx512,
            )
        except BaseException:
            self._container.close()
            self._file.close()
            raise

    def write(self, frame: Frame) -> None:
        """Encode one frame; frames come in order of time."""
        pts, duration = self._stamps.of(frame)
        self._store(self._encoder.encode(frame, pts, duration))

    def finish(self) -> PacketTable:
        """Drain the encoder and see to it that all is on the disk."""
        self._store(self._encoder.flush())
        self._extradata = self._encoder.extradata
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        rows = np.array(self._rows, np.int64).reshape(-1, _COLUMNS)
        return PacketTable(rows=rows, extradata=self._extradata)

    def close(self) -> None:
        """End the encoder and close the file; harmless when repeated."""
        self._encoder.close()
        self._container.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, packets: "list[Packet[VideoStream]]") -> None:
        for packet in packets:
            assert packet.pts is not None
            dts = _NONE if packet.dts is None else packet.dts
            data = memoryview(packet)
            self._file.write(data)
            self._rows.append(
                (packet.pts, dts, packet.duration or 0, len(data), int(packet.is_keyframe))
            )


def encoded_packets(
    segments: Sequence[tuple[Path, PacketTable]], *, time_base: Fraction
) -> "Iterator[Packet[VideoStream]]":
    """The packets of all segments, one after the other, for ``VideoWriter.write_encoded``.

    Each encoder counts dts from its own first frame. They are given anew here, by one rule for the
    whole video: with a delay of D frames, packet i is decoded when frame i - D is shown.

    Args:
        segments: Files of packets and their tables, in order.
        time_base: That of the source.

    Raises:
        OutputError: The segments were made by encoders of different settings or builds, or a file
            is shorter than its table says.
    """
    if any(table.extradata != segments[0][1].extradata for _, table in segments):
        raise OutputError(f"{segments[0][0].parent}: the segments are from different encoders")
    delay = max((table.delay for _, table in segments), default=0)
    shown = np.concatenate([table.shown for _, table in segments])
    # Before the first frame is shown, steps are as long as those of the first frames, or the least.
    steps = shown[:delay] - shown[delay] if len(shown) > delay else np.arange(len(shown)) - delay
    number = 0
    for path, table in segments:
        with path.open("rb") as file:
            for pts, _, duration, size, key in table.rows.tolist():
                data = file.read(size)
                if len(data) != size:
                    raise OutputError(f"{path}: is shorter than it should be")
                packet = cast("Packet[VideoStream]", Packet(data))
                packet.time_base, packet.pts, packet.duration = time_base, pts, duration
                early = number < delay
                packet.dts = int(shown[0] + steps[number] if early else shown[number - delay])
                packet.is_keyframe = bool(key)
                number += 1
                yield packet
