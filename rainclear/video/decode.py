"""Decodes the video of an open file, counts what is lost, and can begin in the middle."""

from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from rainclear.video.report import Tally, ends_are_known
from rainclear.video.salvage import frames_after
from rainclear.video.source import packets_of

__all__ = ["decode"]

# Packets of one group of pictures that are kept in memory while it may still be skipped.
_LONGEST_GROUP = 1000

VideoPacket: TypeAlias = "Packet[VideoStream]"


def decode(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    tally: Tally,
    *,
    pts: int | None = None,
) -> Generator[av.VideoFrame, None, None]:
    """Decode all frames, or those from shortly before one on.

    Args:
        path: The file.
        container: The file, open.
        stream: Its video.
        tally: Counts packets and losses.
        pts: Stamp of the frame that matters first: what comes before the key frame that it needs
            is read, but not decoded. Some frames before it are delivered all the same.
    """
    if not ends_are_known(container):
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
    packets = _packets(container, stream, tally)
    if pts is not None:
        packets = _from_key_frame(packets, pts, tally)
    last: int | None = None
    owed = 0  # packets that were taken without a frame or an error to show for it
    for packet in chain(packets, [None]):
        try:
            # None flushes: the frames that the decoder still holds come out.
            frames = stream.decode(packet)
        except av.FFmpegError:
            # Damage met while flushing is counted below.
            tally.corrupt_packets += packet is not None
            frames = []
        else:
            owed += packet is not None and not packet.is_discard
        for frame in frames:
            owed -= 1
            last = frame.pts
            yield frame
    if owed > 0 and last is not None:
        owed += tally.corrupt_packets
        for frame in frames_after(path, last, tally, stream=stream.index):
            owed -= 1
            yield frame
        owed -= tally.corrupt_packets
    # Decoders drop some pictures without a word once their references are gone.
    tally.owes(owed)
    tally.finish(container, stream)


def _packets(
    container: InputContainer, stream: VideoStream, tally: Tally
) -> "Iterator[VideoPacket]":
    """The packets to decode; all that the file holds are counted."""
    packets = packets_of(container)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            tally.error = error.strerror or str(error)
            return
        if packet is None:
            return
        is_video = packet.stream_index == stream.index
        if packet.size:
            tally.saw(packet, video=is_video)
        if not (packet.size and is_video):
            continue
        if packet.is_corrupt and not container.format.name.startswith("mpeg"):
            # Only a part of it is in the file; a transport stream may still be usable.
            tally.corrupt_packets += 1
            continue
        yield packet  # type: ignore[misc]  # it is of this stream


def _from_key_frame(
    packets: "Iterable[VideoPacket]", pts: int, tally: Tally
) -> "Iterator[VideoPacket]":
    """Leave out what comes before the last key frame that is shown at ``pts`` or earlier.

    Where damage was met, or the video does not begin with a key frame, nothing more is left out, so
    that losses are counted as if all were decoded.
    """
    packets = iter(packets)
    group: list[VideoPacket] = []
    for packet in packets:
        stamp = packet.pts
        if packet.is_keyframe and stamp is not None:
            if stamp <= pts and not tally.headless and not tally.corrupt_packets:
                group.clear()
            elif stamp > pts:
                group.append(packet)
                break
        group.append(packet)
        # Nothing is shown before it is decoded, so all key frames to come are too late.
        too_late = packet.dts is not None and packet.dts > pts
        if too_late or len(group) > _LONGEST_GROUP:
            break
    yield from group
    yield from packets
