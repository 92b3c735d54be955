"""Counts what a reader got out of a file, and judges whether something is missing."""

from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

__all__ = ["ReadReport", "Tally", "ends_are_known"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadReport:
    """What was read so far.

    Attributes:
        frames: Frames delivered.
        corrupt_packets: Packets that gave no picture because of damage, theirs or of those before.
        damaged_frames: Frames among ``frames`` whose errors the decoder patched over.
        truncated: Whether the file ends before it should; known once the last frame was read.
        message: One line on what was lost, ``None`` if nothing was.
    """

    frames: int = 0
    corrupt_packets: int = 0
    damaged_frames: int = 0
    truncated: bool = False
    message: str | None = None


def ends_are_known(container: InputContainer) -> bool:
    """Whether the duration in the file's head is exact, so that an earlier end means a loss."""
    return container.format.name in ("matroska,webm", "flv")


@dataclass(slots=True)
class Tally:
    """Running counts of one pass over a file."""

    frames: int = 0
    packets: int = 0
    headless: int = 0
    corrupt_packets: int = 0
    damaged_frames: int = 0
    scaled_frames: int = 0
    key_seen: bool = False
    end: float = 0.0
    last_cut: bool = False
    no_key_first: bool = False
    error: str | None = None
    loss: str | None = None

    def saw(self, packet: "Packet[av.stream.Stream]", *, video: bool) -> None:
        """Count a packet of any stream."""
        if video:
            self.packets += 1
            self.key_seen = self.key_seen or packet.is_keyframe
            # Those before the first key frame miss pictures that they are predicted from.
            self.headless += not self.key_seen
            # The demuxer marks a packet that the file holds only in part.
            self.last_cut = packet.is_corrupt
        if packet.pts is not None:
            self.end = max(
                self.end, float((packet.pts + (packet.duration or 0)) * packet.time_base)
            )

    def owes(self, pictures: int) -> None:
        """Count packets that gave neither a picture nor an error, where damage explains it.

        Elsewhere it is no loss: two fields may be one picture, and some packets are not shown.
        """
        if not self.corrupt_packets:
            pictures = min(pictures, self.headless)
            self.no_key_first = pictures > 0
        self.corrupt_packets += max(0, pictures)

    def finish(self, container: InputContainer, stream: VideoStream) -> None:
        """Judge, after the last packet, whether the file was complete."""
        expected = _expected_packets(container, stream)
        if self.error:
            self.loss = f"reading stopped after frame {self.frames}: {self.error}"
        elif self.packets < expected:
            self.loss = f"the file is cut off: {self.packets} of {expected} frames are there"
        elif self.last_cut:
            self.loss = "the file is cut off inside its last frame"
        elif ends_are_known(container) and container.duration:
            promised = container.duration / av.time_base
            rate = stream.average_rate
            slack = max(0.2, 2.5 / float(rate)) if rate else 0.2
            if self.end < promised - slack:
                self.loss = f"the file is cut off: {self.end:.2f} of {promised:.2f} s are there"

    def report(self) -> ReadReport:
        """The counts as a value."""
        parts = [self.loss] if self.loss else []
        if self.no_key_first:
            parts.append("the video does not begin with a key frame")
        if self.corrupt_packets:
            packets = _count(self.corrupt_packets, "packet")
            parts.append(f"{packets} gave no picture because of damage")
        if self.damaged_frames:
            verb = "is" if self.damaged_frames == 1 else "are"
            parts.append(f"{_count(self.damaged_frames, 'frame')} {verb} damaged")
        if self.scaled_frames:
            parts.append(
                "the size of the picture changes: "
                f"{_count(self.scaled_frames, 'frame')} scaled to that of the first"
            )
        return ReadReport(
            frames=self.frames,
            corrupt_packets=self.corrupt_packets,
            damaged_frames=self.damaged_frames,
            truncated=self.loss is not None,
            message="; ".join(parts) or None,
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _expected_packets(container: InputContainer, stream: VideoStream) -> int:
    if container.format.name.startswith("mov"):
        # The index after edit lists, unlike the sample count of the track.
        return len(stream.index_entries)
    return stream.frames
