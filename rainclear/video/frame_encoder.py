"""Encodes RGB frames for one video stream, and puts their own stamps on the packets."""

from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from rainclear.frame import Frame
from rainclear.video.convert import RGBToFrame
from rainclear.video.encoder import (
    add_encoder,
    choose_pixel_format,
    chroma_siting,
    encoder_options,
    find_encoder,
    keeps_fields,
    output_color,
    stamps_by_number,
)
from rainclear.video.probe import FieldOrder, VideoInfo
from rainclear.video.streams import MOV_FAMILY

__all__ = ["DEFAULT_RATE", "FrameEncoder"]

DEFAULT_RATE = Fraction(25)
_TURNING = (*MOV_FAMILY, "matroska", "webm")
# x264's rate control by AVX-512 (mbtree) gives other bits from run to run; by all else it does not.
_WITHOUT_AVX512 = "asm=MMX2,SSE2Fast,SSSE3,SSE4.2,AVX,FMA3,BMI1,BMI2,AVX2"


class FrameEncoder:
    """The encoder of a video stream that it adds to a container.

    Args:
        container: Gets the stream; nothing is written to it.
        info: The source: size, rate, time base, colours, rotation, fields.
        size: Width and height as stored, if not those of the source.
        codec: FFmpeg name of the encoder.
        crf: Quality in the encoder's own scale; ``None`` for its default.
        preset: Speed in the encoder's own words; ``None`` for its default.
        pixel_format: FFmpeg name; ``None`` chooses by the source.
        threads: Encoder threads; 0 leaves it to the encoder.
        number: Frames of the video that other encoders had before.
        avoid_avx512: Keep x264 from using AVX-512, so that it gives the same bits in every run; for
            processors that have it, as the instructions before it are taken for granted.

    Attributes:
        stream: The stream; ``None`` after ``close``.
        notes: One line for each thing that the output cannot have.

    Raises:
        OutputError: Codec, pixel format and options do not go together.
        ValueError: FFmpeg refuses the stream; so do its own errors.
    """

    def __init__(
        self,
        container: OutputContainer,
        *,
        info: VideoInfo,
        size: tuple[int, int],
        codec: str,
        crf: float | None,
        preset: str | None,
        pixel_format: str | None = None,
        threads: int = 0,
        number: int = 0,
        avoid_avx512: bool = False,
    ) -> None:
        encoder = find_encoder(codec)
        self.notes: list[str] = []
        self._number = number
        self._time_base = info.time_base
        self._encoding: dict[int, tuple[int, int]] = {}
        self._turns = info.rotation // 90 if container.format.name not in _TURNING else 0
        width, height = size if self._turns % 2 == 0 else size[::-1]
        color = output_color(
            info,
            codec=encoder.name,
            pixel_format=pixel_format
            or choose_pixel_format(encoder, source=info.pixel_format, width=width, height=height),
            height=height,
        )
        aspect = info.sample_aspect_ratio
        self._by_number = stamps_by_number(encoder.name)
        options = encoder_options(
            encoder.name,
            crf=crf,
            preset=preset,
            field_order=self._field_order(encoder, info, height),
        )
        if avoid_avx512 and encoder.name == "libx264":
            further = options.get("x264-params")
            options["x264-params"] = f"{further}:{_WITHOUT_AVX512}" if further else _WITHOUT_AVX512
        self.stream: VideoStream | None = add_encoder(
            container,
            encoder,
            width=width,
            height=height,
            color=color,
            rate=info.rate or DEFAULT_RATE,
            time_base=info.time_base,
            sample_aspect_ratio=1 / aspect if aspect and self._turns % 2 else aspect,
            options=options,
            crf=crf,
            threads=threads,
        )
        if info.display_matrix and not self._turns:
            self.stream.set_display_matrix(info.display_matrix)
        self._convert = RGBToFrame(
            width=width,
            height=height,
            pixel_format=color.pixel_format,
            color=color,
            source_height=info.height,
            siting=chroma_siting(encoder.name),
        )

    @property
    def extradata(self) -> bytes:
        """What decoders need to know besides the packets."""
        assert self.stream is not None
        return bytes(self.stream.codec_context.extradata or b"")

    def encode(self, frame: Frame, pts: int, duration: int) -> "list[Packet[VideoStream]]":
        """Encode a frame; stamps are in the time base of the source.

        Returns:
            The packets that are ready, in order of decoding.

        Raises:
            ValueError: The picture has another shape or type; FFmpeg raises its own errors.
        """
        assert self.stream is not None
        pixels = np.asarray(frame.pixels)
        encoded = self._convert(np.rot90(pixels, self._turns) if self._turns else pixels)
        number = self._number if self._by_number else pts
        self._encoding[number] = (pts, duration)
        encoded.pts = number
        encoded.time_base = self.stream.codec_context.time_base
        packets = self._stamped(self.stream.encode(encoded))
        self._number += 1
        return packets

    def flush(self) -> "list[Packet[VideoStream]]":
        """The packets that the encoder still holds; no frame can follow."""
        assert self.stream is not None
        return self._stamped(self.stream.encode(None))

    def close(self) -> None:
        """End the encoder; harmless when repeated."""
        self._convert.close()
        # The encoder's threads and memory go with the last that knows of it.
        self.stream = None

    def _stamped(self, packets: "list[Packet[VideoStream]]") -> "list[Packet[VideoStream]]":
        for packet in packets:
            if packet.pts is None or packet.pts not in self._encoding:
                continue
            pts, duration = self._encoding.pop(packet.pts)
            if self._by_number:
                # The encoder that needs this reorders nothing, so dts is pts.
                packet.time_base, packet.pts, packet.dts = self._time_base, pts, pts
            packet.duration = duration
        return packets

    def _field_order(
        self, encoder: av.codec.Codec, info: VideoInfo, height: int
    ) -> FieldOrder | None:
        """Order of the fields that the output gets; a video that was turned or scaled has none."""
        if info.field_order is None:
            return None
        if height == info.height and keeps_fields(encoder.name, height=height):
            return info.field_order
        self.notes.append("the video is interlaced, and the output is not marked so")
        return None
