"""``pipelines/*.yaml`` as typed settings; an unknown key is refused with the nearest name."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from rainclear.config import Settings, load_yaml, parse, with_overrides
from rainclear.detection.coco import class_id
from rainclear.errors import ConfigError

__all__ = [
    "DerainSpec",
    "DetectSpec",
    "FileSpec",
    "PipelineSpec",
    "SinksSpec",
    "SourceSpec",
    "TrackSpec",
    "VideoSpec",
    "WindowSpec",
    "check_stages",
    "find_pipeline",
    "list_pipelines",
]


class SourceSpec(Settings):
    """Where frames come from.

    Attributes:
        path: A video, a picture, a URL, or the number of a camera.
        frames: Frames after which the pipeline ends; all if not given.
    """

    path: int | str | None = None
    frames: int | None = Field(None, ge=1)


class DerainSpec(Settings):
    """Taking the rain out.

    Attributes:
        model: Name of a model or path of its folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backend: What runs the network, see :class:`rainclear.Derainer`.
        gate: Let dry frames pass untouched; by default if the model has a gate.
        gate_settings: File with another gate, as ``rainclear calibrate`` writes it.
    """

    model: str = "d-daiam-rt"
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    gate: bool | None = None
    gate_settings: Path | None = None


class DetectSpec(Settings):
    """Finding objects; see :func:`rainclear.detection.load_detector`.

    Attributes:
        weights: The detector.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        confidence: Boxes of a lower score are dropped.
        size: Longer side of the network's input in pixels, where one can choose.
        classes: COCO's names of the classes that are kept; all if not given.
    """

    weights: str = "yolo11n.pt"
    device: str = "auto"
    confidence: float = Field(0.25, ge=0, le=1)
    size: int | None = Field(None, ge=32)
    classes: tuple[str, ...] | None = None

    @field_validator("classes")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [name for name in names or () if class_id(name) is None]
        if unknown:
            raise ValueError(f"COCO has no class {unknown[0]!r}")
        return names


class TrackSpec(Settings):
    """Following objects from frame to frame by ByteTrack.

    Attributes:
        activation: Score from which a box begins a track.
        strong: Score from which boxes are matched first; weaker ones only prolong tracks.
        min_iou: Overlap below which a box does not belong to a track.
        min_frames: Frames in a row before a track gets its number.
        keep: Frames at 30 a second for which a lost track is remembered.
    """

    activation: float = Field(0.5, ge=0, le=1)
    strong: float = Field(0.4, ge=0, le=1)
    min_iou: float = Field(0.1, ge=0, le=1)
    min_frames: int = Field(2, ge=1)
    keep: int = Field(30, ge=0)


class FileSpec(Settings):
    """A file to write.

    Attributes:
        path: Its name; ``{name}`` stands for that of the source without suffix. A relative one lies
            in the folder that the run names.
    """

    path: str = Field(min_length=1)


class VideoSpec(FileSpec):
    """The frames as a video, or as a picture for a single one.

    Attributes:
        boxes: Draw the boxes.
        side_by_side: Show rainy | derained. Both are searched: a green box is won by deraining, a
            red one lost. Needs ``derain``, and ``detect`` where boxes are drawn.
        codec: FFmpeg name of the encoder.
        crf: Quality in the encoder's own scale; lower is better.
        preset: Speed in the encoder's own words.
    """

    boxes: bool = True
    side_by_side: bool = False
    codec: str = "libx264"
    crf: float | None = 18
    preset: str | None = None


class WindowSpec(Settings):
    """A window on the screen; the key q or Esc ends the pipeline.

    Attributes:
        title: Its title.
    """

    title: str = "rainclear"


class SinksSpec(Settings):
    """Where results go; any number of these.

    Attributes:
        video: Annotated video.
        jsonl: One line of JSON a frame: rain and objects.
        coco: COCO JSON with images, annotations and categories.
        mot: MOT Challenge text.
        window: A window on the screen.
    """

    video: VideoSpec | None = None
    jsonl: FileSpec | None = None
    coco: FileSpec | None = None
    mot: FileSpec | None = None
    window: WindowSpec | None = None


class PipelineSpec(Settings):
    """A pipeline; a stage that is not given is left out.

    Attributes:
        summary: One line on what it is for.
        source: Where frames come from.
        derain: Taking the rain out.
        detect: Finding objects.
        track: Following them.
        sinks: Where results go.
    """

    summary: str = ""
    source: SourceSpec = SourceSpec()
    derain: DerainSpec | None = None
    detect: DetectSpec | None = None
    track: TrackSpec | None = None
    sinks: SinksSpec = SinksSpec()


def _root() -> Path:
    return Path(str(files("rainclear._pipelines")))


def list_pipelines() -> list[str]:
    """Names of the pipelines that are part of the package."""
    return sorted(path.stem for path in _root().glob("*.yaml"))


def find_pipeline(
    name: str | Path, assignments: list[str] | None = None, **settings: Any
) -> PipelineSpec:
    """A pipeline by its name, or by a YAML file.

    Args:
        name: One of :func:`list_pipelines`, or a file.
        assignments: ``detect.weights=yolo11n.pt`` and so on; values are read as YAML.
        settings: Sections to put in the place of those of the file.

    Raises:
        ConfigError: There is no such pipeline, or a key or value in it is not valid.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = _root() / f"{name}.yaml"
        if not path.is_file():
            raise ConfigError(
                f"no pipeline named {str(name)!r}; there are: {', '.join(list_pipelines())} "
                "(or give a .yaml file)"
            )
    data = with_overrides({**load_yaml(path), **settings}, assignments or [])
    spec = parse(PipelineSpec, data, source=str(path))
    check_stages(spec, source=str(path))
    return spec


def check_stages(
    spec: PipelineSpec, *, source: str, derains: bool = False, detects: bool = False
) -> None:
    """Refuse a pipeline whose stages lack one that they need.

    Args:
        spec: The pipeline.
        source: Names the pipeline in messages.
        derains: A derainer is given, whatever the pipeline describes.
        detects: A detector is given, likewise.

    Raises:
        ConfigError: There is nothing to follow or to compare.
    """
    derains, detects = derains or spec.derain is not None, detects or spec.detect is not None
    if spec.track is not None and not detects:
        raise ConfigError(f"{source}: 'track' needs 'detect': there is nothing to follow")
    video, key = spec.sinks.video, "'sinks.video.side_by_side'"
    if video is None or not video.side_by_side:
        return
    if not derains:
        raise ConfigError(
            f"{source}: {key} needs 'derain': both sides would be the same; add 'derain: {{}}', or "
            "--set sinks.video.side_by_side=false"
        )
    if video.boxes and not detects:
        raise ConfigError(
            f"{source}: {key} needs 'detect': there are no boxes to compare; add 'detect', or "
            "--set sinks.video.boxes=false for the pictures alone"
        )
