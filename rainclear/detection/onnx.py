"""Any detector as an ONNX file, with a small YAML description of its input and outputs.

Example (a YOLO of ultralytics, whose only output is 1×84×8400)::

    model: yolo11n.onnx
    input: {size: [640, 640], resize: letterbox}
    boxes: {output: output0, rows: [0, 4], format: cxcywh}
    scores: {output: output0, rows: [4, 84]}
    nms: 0.7
"""

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from rainclear.config import Settings, load_yaml, parse
from rainclear.detection.coco import COCO_IDS_91, map_names
from rainclear.detection.detections import Detections, Pixels
from rainclear.detection.files import require_file
from rainclear.errors import ConfigError, DeviceError, ModelError
from rainclear.runtime.device import resolve_device

__all__ = ["OnnxDescription", "OnnxDetector"]

_Floats = npt.NDArray[np.float32]


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


class OnnxDetector:
    """An ONNX file as a :class:`rainclear.detection.Detector`, run by ONNX Runtime.

    Args:
        description: A YAML file, see :class:`OnnxDescription`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        confidence: Boxes of a lower score are dropped.

    Raises:
        ConfigError: The description is wrong, or names an output that the network does not have.
        ModelError: ONNX Runtime is not installed, or the file is missing or broken.
        DeviceError: There is no such device, or this ONNX Runtime cannot use it.
    """

    def __init__(
        self, description: str | Path, *, device: str = "auto", confidence: float = 0.25
    ) -> None:
        file = Path(description)
        self._spec = parse(OnnxDescription, load_yaml(file), source=str(file))
        self._confidence = confidence
        self._numbers = self._spec.numbers()
        self._session = _session(require_file(file.parent / self._spec.model), device)
        self._input = self._session.get_inputs()[0].name
        outputs = [output.name for output in self._session.get_outputs()]
        for spec in (self._spec.boxes, self._spec.scores, self._spec.classes):
            if spec is not None and spec.output not in outputs:
                raise ConfigError(
                    f"{file}: the network has no output {spec.output!r}; it has "
                    f"{', '.join(outputs)}"
                )
        self._outputs = outputs

    def __call__(self, frames: list[Pixels]) -> list[Detections]:
        """Detect in H×W×3 uint8 RGB pictures, one by one."""
        return [self._one(frame) for frame in frames]

    def _one(self, frame: Pixels) -> Detections:
        x, scale, offset = prepare(frame, self._spec.input)
        values = self._session.run(self._outputs, {self._input: x})
        out = dict(zip(self._outputs, values, strict=True))
        boxes = _corners(_pick(out, self._spec.boxes), self._spec)
        scores, classes = self._scores(out)
        found = Detections.of((boxes - offset) / scale, scores, classes)
        found = found.select(found.scores >= self._confidence).renumbered(self._numbers)
        limits = np.array([frame.shape[1], frame.shape[0]] * 2, np.float32)
        found = Detections.of(found.xyxy.clip(0, limits), found.scores, found.classes)
        return found if self._spec.nms is None else _suppress(found, self._spec.nms)

    def _scores(self, out: dict[str, Any]) -> tuple[_Floats, npt.NDArray[np.int64]]:
        scores = _pick(out, self._spec.scores)
        if self._spec.objectness is not None:
            scores = scores * _pick(out, self._spec.objectness)
        if self._spec.classes is not None:
            return scores[:, 0], _pick(out, self._spec.classes)[:, 0].astype(np.int64)
        classes = scores.argmax(1)
        return np.take_along_axis(scores, classes[:, None], 1)[:, 0], classes


def _session(path: Path, device: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"{path} needs ONNX Runtime: pip install onnxruntime (or onnxruntime-gpu)"
        ) from error
    wanted = resolve_device(device)
    providers: list[Any] = ["CPUExecutionProvider"]
    if wanted.type == "cuda":
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": wanted.index or 0}))
        elif device != "auto":
            raise DeviceError("this ONNX Runtime has no CUDA: pip install onnxruntime-gpu")
    try:
        return onnxruntime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error


def prepare(frame: Pixels, spec: InputSpec) -> tuple[_Floats, _Floats, _Floats]:
    """The input 1×3×H×W, and what undoes it: native = (box − offset) / scale, as x, y, x, y."""
    (rows, columns), (height, width) = spec.size, frame.shape[:2]
    if spec.resize == "stretch":
        picture = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_LINEAR)
        scale, left, top = (columns / width, rows / height), 0, 0
    else:
        ratio = min(rows / height, columns / width)
        inner = round(width * ratio), round(height * ratio)
        resized = cv2.resize(frame, inner, interpolation=cv2.INTER_LINEAR)
        middle = spec.resize == "letterbox"
        left = (columns - inner[0]) // 2 if middle else 0
        top = (rows - inner[1]) // 2 if middle else 0
        picture = np.full((rows, columns, 3), spec.pad, np.uint8)
        picture[top : top + inner[1], left : left + inner[0]] = resized
        scale = (inner[0] / width, inner[1] / height)
    if spec.color == "bgr":
        picture = picture[..., ::-1]
    levels = picture.astype(np.float32) / np.float32(spec.scale)
    levels = (levels - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    x = np.ascontiguousarray(levels.transpose(2, 0, 1)[None], np.float32)
    return x, np.array(scale * 2, np.float32), np.array([left, top] * 2, np.float32)


def _pick(out: dict[str, Any], spec: OutputSpec) -> _Floats:
    """N×K values of one output."""
    values = np.asarray(out[spec.output])
    if values.ndim > 1 and values.shape[0] == 1:
        values = values[0]
    if spec.rows is not None:
        values = values[slice(*spec.rows)].T
    elif spec.columns is not None:
        values = values[:, slice(*spec.columns)]
    elif values.ndim < 2:
        values = values.reshape(-1, 1)
    return np.asarray(values, np.float32)


def _corners(boxes: _Floats, spec: OnnxDescription) -> _Floats:
    a: npt.NDArray[Any] = boxes[:, :2]
    b: npt.NDArray[Any] = boxes[:, 2:4]
    if spec.boxes.format == "cxcywh":
        a, b = a - b / 2, a + b / 2
    elif spec.boxes.format == "xywh":
        b = a + b
    xyxy: npt.NDArray[Any] = np.concatenate([a, b], axis=1)
    if spec.boxes.units == "relative":
        height, width = spec.input.size
        xyxy = xyxy * np.array([width, height, width, height], np.float32)
    return np.asarray(xyxy, np.float32)


def _suppress(found: Detections, overlap: float) -> Detections:
    import torch
    from torchvision.ops import batched_nms

    keep = batched_nms(
        torch.from_numpy(found.xyxy),
        torch.from_numpy(found.scores),
        torch.from_numpy(found.classes),
        overlap,
    )
    return found.select(keep.numpy())
