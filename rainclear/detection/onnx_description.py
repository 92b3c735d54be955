"""The YAML description of an ONNX detector's input and outputs."""

from typing import Literal

from pydantic import Field

from rainclear.config import Settings
from rainclear.detection.coco import COCO_IDS_91, map_names

__all__ = ["BoxSpec", "InputSpec", "OnnxDescription", "OutputSpec"]


class InputSpec(Settings):
    """How a picture becomes the network's input, 1×3×H×W float32.

    Attributes:
        size: Height and width in pixels.
        resize: ``letterbox`` keeps the shape and pads around, ``corner`` pads right and below,
            ``stretch`` does not keep the shape.
        pad: Level of the padding, 0..255.
        color: Order of the channels.
        scale: Levels are divided by this.
        mean: Then this is subtracted, a channel each in the order of ``color``.
        std: Then divided by this.
    """

    size: tuple[int, int]
    resize: Literal["letterbox", "corner", "stretch"] = "letterbox"
    pad: int = Field(114, ge=0, le=255)
    color: Literal["rgb", "bgr"] = "rgb"
    scale: float = Field(255.0, gt=0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


class OutputSpec(Settings):
    """Where values lie in the outputs: N×K or K×N after the batch dimension.

    Attributes:
        output: Name of the output.
        columns: First and last+1 of the K values in an N×K output; all by default.
        rows: The same in a K×N output.
    """

    output: str
    columns: tuple[int, int] | None = None
    rows: tuple[int, int] | None = None


class BoxSpec(OutputSpec):
    """Where boxes lie, and how they are written.

    Attributes:
        format: Corners, centre and size, or corner and size.
        units: Pixels of the network's input, or parts of its width and height.
    """

    format: Literal["xyxy", "cxcywh", "xywh"] = "xyxy"
    units: Literal["pixels", "relative"] = "pixels"


class OnnxDescription(Settings):
    """The description of one ONNX detector.

    Attributes:
        model: The ONNX file, relative to the description.
        input: What it takes.
        boxes: Where its boxes are.
        scores: Scores: one a box (then ``classes`` is needed) or one a box and class.
        classes: Class numbers, one a box.
        objectness: Multiplied onto the scores, one a box.
        names: Names of the class numbers: ``coco80``, ``coco91`` (numbers 1..90) or a list.
        nms: Overlap above which the weaker box of a class is dropped; ``null`` if the network
            does that itself.
    """

    model: str
    input: InputSpec
    boxes: BoxSpec
    scores: OutputSpec
    classes: OutputSpec | None = None
    objectness: OutputSpec | None = None
    names: Literal["coco80", "coco91"] | tuple[str, ...] = "coco80"
    nms: float | None = Field(None, gt=0, le=1)

    def numbers(self) -> dict[int, int]:
        """The network's class numbers to COCO's 0..79."""
        if self.names == "coco80":
            return {number: number for number in range(80)}
        return COCO_IDS_91 if self.names == "coco91" else map_names(self.names)
