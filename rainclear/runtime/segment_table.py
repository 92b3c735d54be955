"""The table beside the packets of a segment: what is known of its packets and of its frames."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.numpy

from rainclear.frame import Frame
from rainclear.runtime.gate import RainReading
from rainclear.video.segment import PacketTable

__all__ = ["FrameRows", "frames_in", "packets_in"]

# Of RainReading, in the order in which a table holds them.
_READINGS = ("score", "open", "heavy", "light", "streaks", "drops")
_NO_PTS = np.iinfo(np.int64).min


@dataclass(kw_only=True, slots=True)
class FrameRows:
    """Of each frame of a segment its rain, and the pts that was read, ``None`` for none."""

    readings: list[RainReading] = field(default_factory=list)
    stamps: list[int | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.stamps)

    def add(self, frame: Frame, reading: RainReading) -> None:
        """Note the rain of the next frame."""
        self.readings.append(reading)
        self.stamps.append(frame.pts)

    def table(self, packets: PacketTable) -> bytes:
        """The table of a segment with these packets, in the format of safetensors."""
        rows = [[float(getattr(one, name)) for name in _READINGS] for one in self.readings]
        stamps = [_NO_PTS if pts is None else pts for pts in self.stamps]
        return safetensors.numpy.save(
            {
                "packets": packets.rows,
                "extradata": np.frombuffer(packets.extradata, np.uint8),
                "readings": np.array(rows, np.float64).reshape(-1, len(_READINGS)),
                "pts": np.array(stamps, np.int64),
            }
        )


def packets_in(table: Path) -> PacketTable:
    """The packets that the table of a segment lists."""
    stored = safetensors.numpy.load_file(table)
    return PacketTable(rows=stored["packets"], extradata=stored["extradata"].tobytes())


def frames_in(table: Path) -> FrameRows:
    """The frames that the table of a segment lists."""
    stored = safetensors.numpy.load_file(table)
    rows = [dict(zip(_READINGS, row, strict=True)) for row in stored["readings"].tolist()]
    return FrameRows(
        readings=[RainReading(**{**row, "open": bool(row["open"])}) for row in rows],
        stamps=[None if pts == _NO_PTS else pts for pts in stored["pts"].tolist()],
    )
