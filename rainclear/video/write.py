"""Writes RGB frames as a video, each with its own time stamp, beside the source's sound."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Self

from av.packet import Packet
from av.video.stream import VideoStream

from rainclear.errors import OutputError
from rainclear.frame import Frame
from rainclear.video.encoder import find_encoder
from rainclear.video.frame_encoder import DEFAULT_RATE, FrameEncoder
from rainclear.video.image import is_image
from rainclear.video.mux import Muxer
from rainclear.video.part import Cut
from rainclear.video.partial import PartialFile, output_errors
from rainclear.video.probe import VideoInfo
from rainclear.video.read import VideoReader
from rainclear.video.stamps import Stamps

__all__ = ["VideoWriter"]


class VideoWriter:
    """Writes frames under a name that appears only when the file is complete; a context manager.

    Time stamps: MP4 and MOV keep every pts exactly, as a fraction of a second. Matroska and WebM
    count milliseconds, so there each pts is rounded to the nearest; AVI knows a constant rate
    only. A frame without pts follows its predecessor by one frame of the source's rate. If the
    first pts is negative, which players would hide, everything is moved later by that much, and a
    stamp that does not increase is moved by the least step; both leave a note. A gap of more than
    2**31 ticks between two frames does not fit MP4 and raises.

    Picture: 8-bit stays 8-bit and deeper stays 10-bit or more where the encoder can; 4:2:2 and
    4:4:4 sources keep their chroma. Fields of interlaced video stay as they are, and x264 marks
    them. Sides of odd length are kept, for x264 and x265 by unhalved
    chroma, which fewer players decode. Matrix, range, primaries and transfer are those of the
    source. The display matrix is kept; in containers without one (AVI, MPEG-TS) the pixels are
    turned upright instead. HDR mastering data and captions inside the video are not kept.

    Sound, subtitles, chapters and tags are copied from the source; what the container cannot
    carry is left out with a note. If the reader delivers a part that starts later than the video
    does, its first frame gets time zero and everything is earlier by as much.

    Example:
        >>> with VideoReader("drive.mp4") as reader:
        ...     with VideoWriter("clear.mp4", template=reader) as writer:
        ...         for frame in reader:
        ...             writer.write(frame)

    Args:
        path: The file to write; its suffix names the container.
        template: The source, or its description: size, rate, colours, sound.
        width: Pixels across as stored, if not those of the source.
        height: Lines as stored, if not those of the source.
        codec: FFmpeg name of the encoder.
        crf: Quality in the encoder's own scale, lower is better; ``None`` for its default.
        preset: Speed in the encoder's own words; ``None`` for its default.
        pixel_format: FFmpeg name; ``None`` chooses by the source.
        overwrite: Whether an existing file may be replaced.
        keep_streams: Whether sound, subtitles, chapters and tags are copied.
        threads: Encoder threads; 0 leaves it to the encoder.
        cut: The part of the source that is written, so that sound and the like are cut to match;
            ``None`` takes it from a ``template`` that is a reader.

    Attributes:
        path: The file to write.
        frames: Frames written so far.
        notes: One line for each thing that could not be kept.

    Raises:
        OutputError: The file exists, is the source, or cannot be written; the disk is full;
            codec, container, pixel format and options do not go together.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        template: VideoInfo | VideoReader,
        width: int | None = None,
        height: int | None = None,
        codec: str = "libx264",
        crf: float | None = 18,
        preset: str | None = None,
        pixel_format: str | None = None,
        overwrite: bool = False,
        keep_streams: bool = True,
        threads: int = 0,
        cut: Cut | None = None,
    ) -> None:
        info = template.info if isinstance(template, VideoReader) else template
        if isinstance(template, VideoReader):
            cut = cut or template.cut
        self.path = Path(path)
        self.frames = 0
        self._info = info
        self._size = (width or info.width, height or info.height)
        self._cut = cut
        self._stamps = Stamps(
            time_base=info.time_base,
            rate=info.rate or DEFAULT_RATE,
            from_zero=cut is not None and cut.begin is not None,
        )
        self._own: list[str] = []
        self._copied: list[str] = []
        self._muxer: Muxer | None = None
        self._encoder: FrameEncoder | None = None
        self._done = False

        find_encoder(codec)
        if is_image(path):
            raise OutputError(f"{path}: is the name of a picture; use .mp4, .mov, .mkv or .webm")
        self._file = PartialFile(path, overwrite=overwrite, source=info.path)
        try:
            with output_errors(self.path, f"{codec} or the container refused these settings"):
                self._open(codec, crf, preset, pixel_format, keep_streams, threads)
        except BaseException:
            self.abort()
            raise

    @property
    def notes(self) -> list[str]:
        """One line for each thing that could not be kept."""
        return self._own + self._stamps.notes + self._copied

    def write(self, frame: Frame) -> None:
        """Encode one frame; frames come in order of time.

        Args:
            frame: ``pixels`` H×W×3 uint8 or uint16 array of the writer's size.

        Raises:
            OutputError: The frame has another size or kind, or the disk is full.
        """
        if self._encoder is None or self._muxer is None:
            raise OutputError(f"{self.path}: is closed, so no frame can be added")
        pts, duration = self._stamps.of(frame)
        self._muxer.shift(self._stamps.shift)
        with output_errors(self.path, f"frame {frame.index} cannot be written"):
            self._muxer.put(self._encoder.encode(frame, pts, duration))
        self.frames += 1

    def write_encoded(
        self,
        packets: "Iterable[Packet[VideoStream]]",
        *,
        extradata: bytes,
        shift: Fraction = Fraction(0),
    ) -> None:
        """Write a whole video that encoders with the settings of this one made, instead of frames.

        Args:
            packets: All of them, in order of decoding, in the time base of the source.
            extradata: What decoders need besides the packets; that of the encoder of this writer.
            shift: Seconds by which they are later than the frames of the source.

        Raises:
            OutputError: The disk is full, the container refuses a packet, or the packets are from
                another encoder.
        """
        if self._encoder is None or self._muxer is None:
            raise OutputError(f"{self.path}: is closed, so nothing can be added")
        if extradata != self._encoder.extradata:
            raise OutputError(f"{self.path}: the packets are from another build of the encoder")
        self._muxer.shift(shift)
        with output_errors(self.path):
            held: list[Packet[VideoStream]] = []
            for packet in packets:
                self._muxer.put(held)
                held = [packet]
                self.frames += 1
            self._muxer.put(held, last=True)
        self._encoder.close()

    def close(self) -> None:
        """Finish the file and give it its name; harmless when repeated.

        Raises:
            OutputError: Nothing was written, or the disk is full; no file is left then.
        """
        if self._done:
            return
        try:
            if not self.frames:
                raise OutputError(f"{self.path}: no frame was written, so there is no video")
            assert self._encoder is not None and self._muxer is not None
            with output_errors(self.path):
                if self._encoder.stream is not None:
                    self._muxer.put(self._encoder.flush(), last=True)
                self._muxer.finish()
            self._file.commit()
        finally:
            # After a commit there is nothing left to discard.
            self.abort()

    def abort(self) -> None:
        """Give up and leave no file behind; harmless when repeated."""
        self._done = True
        try:
            if self._muxer:
                self._muxer.close()
        finally:
            self._file.discard()
            if self._encoder is not None:
                self._encoder.close()
            self._muxer = self._encoder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _open(
        self,
        codec: str,
        crf: float | None,
        preset: str | None,
        pixel_format: str | None,
        keep_streams: bool,
        threads: int,
    ) -> None:
        info = self._info
        self._muxer = Muxer(self._file.partial)
        self._encoder = FrameEncoder(
            self._muxer.container,
            info=info,
            size=self._size,
            codec=codec,
            crf=crf,
            preset=preset,
            pixel_format=pixel_format,
            threads=threads,
        )
        self._own += self._encoder.notes
        assert self._encoder.stream is not None
        if keep_streams:
            self._copied = self._muxer.copy(
                info.path, self._encoder.stream, stream=info.stream, cut=self._cut
            )
        self._muxer.begin(info.time_base)
