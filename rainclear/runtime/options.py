"""What jobs are told: with what to derain, what part of a file, and how the output is made."""

from dataclasses import dataclass

from rainclear.runtime.derainer import Derainer
from rainclear.runtime.gate import GateChoice
from rainclear.video.part import Part

__all__ = ["DerainerOptions", "EncodeOptions", "JobOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeOptions:
    """How a video is encoded.

    Attributes:
        codec: FFmpeg name of the encoder.
        crf: Quality in the encoder's own scale, lower is better; ``None`` for its default.
        preset: Speed in the encoder's own words; ``None`` is ``veryfast`` for x264 and x265, and
            the encoder's default for others.
    """

    codec: str = "libx264"
    crf: float | None = 18
    preset: str | None = None

    @property
    def speed(self) -> str | None:
        """The preset to use."""
        return self.preset or ("veryfast" if self.codec in ("libx264", "libx265") else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class DerainerOptions:
    """With what to derain.

    Attributes:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backend: As for :class:`rainclear.Derainer`.
        gate: Rain gate; ``None`` for the model's own, if it has one, ``False`` for none.
    """

    model: str = "d-daiam-rt"
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    gate: GateChoice = None

    def open(self) -> Derainer:
        """A derainer for one stream.

        Raises:
            ModelError: The model is unknown or its weights are not what was published.
            DeviceError: This machine has no such device, or the backend is not installed.
        """
        return Derainer(
            self.model,
            device=self.device,
            precision=self.precision,
            gate=self.gate,
            backend=self.backend,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """What to derain of a file, and what to make of it.

    Attributes:
        part: The part of a video to derain, if not all; sound and the like are cut to match.
        stream: Index of the video among all streams of the file; ``None`` for the main one.
        compare: Write rainy | derained side by side.
        encode: Codec, quality and speed of a video.
        overwrite: Whether an existing output may be replaced.
    """

    part: Part | None = None
    stream: int | None = None
    compare: bool = False
    encode: EncodeOptions = EncodeOptions()
    overwrite: bool = False
