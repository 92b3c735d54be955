"""Copies sound, subtitles, chapters and tags of one file into another, packet for packet."""

import errno
import io
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from rainclear.video.part import Cut
from rainclear.video.source import packets_of, url_of, video_stream
from rainclear.video.trim import chapters_within, time_of, within

__all__ = ["MOV_FAMILY", "StreamCopier"]

MOV_FAMILY = ("mp4", "mov", "3gp", "ipod")

# Packets among which sound and the like should have begun.
_SAMPLES = 200
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# Seconds by which packets of one time may lie apart in a file.
_INTERLEAVED = 10
_KINDS = ("audio", "subtitle", "attachment")
# Tags that describe the old file rather than the drive.
_OWN_TAGS = {"MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "ENCODER", "DURATION", "BPS"}
_OWN_TAGS |= {"NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "VENDOR_ID", "ROTATE"}


class StreamCopier:
    """Copies everything but the video of a file into an output that is being written.

    It opens the file a second time and reads along with the video, so only a few packets are in
    memory at any time.

    Args:
        source: The file to copy from.
        output: Container whose video stream was added and whose head was not written yet.
        video: The video stream of the output.
        stream: Index of the video in the file that it was made of; ``None`` for the main one.
        cut: The part of the file to copy, if not all. Its end may become known on the way.

    Attributes:
        notes: One line for each thing that could not be copied.
    """

    def __init__(
        self,
        source: Path,
        output: OutputContainer,
        video: Stream,
        *,
        stream: int | None = None,
        cut: Cut | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._cut = cut or Cut()
        self._passed: set[int] = set()
        self.shift = Fraction(0)
        self._output = output
        self._input = av.open(url_of(source), "r", metadata_errors="replace")
        self._targets: dict[int, Stream] = {}
        # Only MP4 holds the sound that players skip at negative times; elsewhere it would
        # push everything later, video included.
        from_mov = self._input.format.name.startswith("mov")
        self._drop_negative = from_mov and output.format.name not in MOV_FAMILY
        main = video_stream(self._input, source, index=stream)
        output.metadata.update(_tags(self._input.metadata))
        output.set_chapters(chapters_within(self._input.chapters(), self._cut))
        video.metadata.update(_tags(main.metadata))
        others = [other for other in self._input.streams if other.index != main.index]
        samples = _first_packets(source, {other.index for other in others})
        for other in others:
            self._add(other, samples.get(other.index))
        copied = [self._input.streams[i] for i in self._targets]
        self._packets: Iterator[Packet[Stream]] = (
            packets_of(self._input, *copied) if copied else iter(())
        )
        self._next: Packet[Stream] | None = None

    @property
    def rates(self) -> list[int]:
        """Ticks a second of the copied streams, for a movie time scale that fits all."""
        streams = (self._input.streams[i] for i in self._targets)
        return [s.time_base.denominator for s in streams if s.time_base is not None]

    def copy_until(self, seconds: Fraction | None) -> None:
        """Copy the packets up to a time of the input; all that are left if it is ``None``.

        Raises:
            OSError: The disk is full.
        """
        while True:
            if self._next is None:
                self._next = self._read()
            packet = self._next
            if packet is None:
                return
            if seconds is not None and time_of(packet, decoding=True) > seconds:
                return
            self._next = None
            self._write(packet)

    def close(self) -> None:
        """Close the input."""
        self._packets = iter(())
        self._input.close()

    def _add(self, stream: Stream, sample: "Packet[Stream] | None") -> None:
        kind = stream.type
        name = f"{kind} stream {stream.index}"
        if kind == "data" and self._input.chapters():
            # MP4 keeps chapter titles in such a stream; they were copied above.
            stream.discard = Discard.all
            return
        if kind in _KINDS and _carries(self._output.format.name, stream, sample):
            target = _add_copy(self._output, stream)
            target.metadata.update(_tags(stream.metadata))
            target.disposition = stream.disposition
            self._targets[stream.index] = target
            return
        stream.discard = Discard.all
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        self.notes.append(
            f"{name} ({codec}) was left out: it cannot be copied into {self._output.format.name}"
        )

    def _read(self) -> "Packet[Stream] | None":
        try:
            for packet in self._packets:
                if packet.pts is None and packet.dts is None:
                    continue  # the empty ones at the end
                if self._drop_negative and packet.pts is not None and packet.pts < 0:
                    continue
                if self._all_passed(packet):
                    break
                if within(packet, self._cut):
                    return packet
        except av.FFmpegError as error:
            self.notes.append(f"copying of sound and subtitles ended early: {error.strerror}")
            self._packets = iter(())
        return None

    def _all_passed(self, packet: "Packet[Stream]") -> bool:
        """Whether every stream is beyond the end of the part, or this one is far beyond it."""
        end = self._cut.end
        if end is None:
            return False
        beyond = time_of(packet) - end
        if beyond >= 0:
            self._passed.add(packet.stream_index)
        return beyond > _INTERLEAVED or len(self._passed) == len(self._targets)

    def _write(self, packet: "Packet[Stream]") -> None:
        packet.stream = self._targets[packet.stream_index]
        if self.shift:
            offset = round(self.shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + offset
            packet.dts = None if packet.dts is None else packet.dts + offset
        try:
            self._output.mux(packet)
        except av.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            note = "some packets of sound or subtitles did not fit the output and were left out"
            if note not in self.notes:
                self.notes.append(note)


def _tags(tags: dict[str, str]) -> dict[str, str]:
    def keep(name: str) -> bool:
        name = name.upper()
        return not name.startswith("_STATISTICS") and name.split("-")[0] not in _OWN_TAGS

    return {name: value for name, value in tags.items() if keep(name)}


def _first_packets(source: Path, wanted: set[int]) -> "dict[int, Packet[Stream]]":
    """One packet of each stream that has one near the beginning of the file, by index."""
    found: dict[int, Packet[Stream]] = {}
    if not wanted:
        return found
    with (
        av.open(url_of(source), "r", metadata_errors="replace") as container,
        suppress(av.FFmpegError),
    ):
        for packet in islice(packets_of(container), _SAMPLES):
            if packet.size and packet.pts is not None and packet.stream_index in wanted:
                found.setdefault(packet.stream_index, packet)
            if len(found) == len(wanted):
                break
    return found


def _add_copy(container: OutputContainer, stream: Stream) -> Stream:
    target = container.add_stream_from_template(stream)
    if isinstance(target, AudioStream) and target.codec_context.layout.name.endswith("channels"):
        # AVI and WAV count channels without naming them, and MP4 takes no PCM without names.
        context = target.codec_context
        context.layout = _LAYOUTS.get(context.channels, context.layout)
    return target


def _carries(container: str, stream: Stream, sample: "Packet[Stream] | None") -> bool:
    """Try it with a throw-away file, as muxers refuse some streams only at its head or end."""
    trial = av.open(io.BytesIO(), "w", format=container)
    try:
        target = _add_copy(trial, stream)
        trial.start_encoding()
        if sample is not None:
            sample.stream = target
            trial.mux(sample)
            trial.close()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with suppress(av.FFmpegError, ValueError):
            trial.close()
    return True
