"""Any detector as an ONNX file, with a small YAML description of its input and outputs.

Example (a YOLO of ultralytics, whose only output is 1×84×8400)::

    model: yolo11n.onnx
    input: {size: [640, 640], resize: letterbox}
    boxes: {output: output0, rows: [0, 4], format: cxcywh}
    scores: {output: output0, rows: [4, 84]}
    nms: 0.7
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.config import load_yaml, parse
from rainclear.detection.detections import Detections, Pixels
from rainclear.detection.files import first_line, require_file
from rainclear.detection.onnx_description import InputSpec, OnnxDescription, OutputSpec
from rainclear.errors import ConfigError, DeviceError, ModelError
from rainclear.runtime.device import resolve_device

__all__ = ["OnnxDescription", "OnnxDetector"]

_Floats = npt.NDArray[np.float32]


class OnnxDetector:
    """An ONNX file as a :class:`rainclear.detection.Detector`, run by ONNX Runtime.

    Args:
        description: A YAML file, see :class:`OnnxDescription`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        confidence: Boxes of a lower score are dropped.

    Raises:
        ConfigError: The description is wrong, or does not fit what the network takes and gives.
        ModelError: ONNX Runtime is not installed, or the file is missing or broken, or cannot be
            run on what the description gives it.
        DeviceError: There is no such device, or this ONNX Runtime cannot use it.
    """

    def __init__(
        self, description: str | Path, *, device: str = "auto", confidence: float = 0.25
    ) -> None:
        self._file = file = Path(description)
        self._ran = False
        self._spec = parse(OnnxDescription, load_yaml(file), source=str(file))
        self._confidence = confidence
        self._numbers = self._spec.numbers()
        self._session = _session(require_file(file.parent / self._spec.model), device)
        self._input = self._session.get_inputs()[0].name
        self._check_input()
        outputs = [output.name for output in self._session.get_outputs()]
        described = self._spec.boxes, self._spec.scores, self._spec.classes, self._spec.objectness
        for spec in described:
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
        out = self._run(x)
        picked = _pick(out, self._spec.boxes)
        if picked.ndim != 2 or picked.shape[1] < 4:
            raise ConfigError(
                f"{self._file}: boxes: {self._spec.boxes.output!r} gives {_text(picked.shape)}, "
                "not N×4: set columns or rows to where the four numbers of a box lie"
            )
        boxes = _corners(picked, self._spec)
        scores, classes = self._scores(out, len(boxes))
        if not len(boxes) == len(scores) == len(classes):
            raise ConfigError(
                f"{self._file}: the network gives {len(boxes)} boxes, {len(scores)} scores and "
                f"{len(classes)} classes: set columns or rows to where they lie"
            )
        found = Detections.of((boxes - offset) / scale, scores, classes)
        found = found.select(found.scores >= self._confidence).renumbered(self._numbers)
        limits = np.array([frame.shape[1], frame.shape[0]] * 2, np.float32)
        found = Detections.of(found.xyxy.clip(0, limits), found.scores, found.classes)
        return found if self._spec.nms is None else _suppress(found, self._spec.nms)

    def _check_input(self) -> None:
        takes = self._session.get_inputs()[0].shape
        gives = (1, 3, *self._spec.input.size)
        if not takes:  # it does not say
            return
        # What is not a number is free.
        if len(takes) != 4 or any(
            isinstance(t, int) and t != g for t, g in zip(takes, gives, strict=True)
        ):
            raise ConfigError(
                f"{self._file}: the network takes {_text(takes)} and input.size makes "
                f"{_text(gives)}: set input.size to the height and width that it takes"
            )

    def _run(self, x: _Floats) -> dict[str, Any]:
        try:
            values = self._session.run(self._outputs, {self._input: x})
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            if self._ran:
                raise
            raise ModelError(
                f"{self._file}: the network cannot be run on 1×3×H×W float32, as which a picture "
                f"is given to it: {first_line(error)}; export it so that it takes that"
            ) from error
        self._ran = True
        return dict(zip(self._outputs, values, strict=True))

    def _scores(self, out: dict[str, Any], n: int) -> tuple[_Floats, npt.NDArray[np.int64]]:
        scores = _pick(out, self._spec.scores, n)
        if self._spec.objectness is not None:
            scores = scores * _pick(out, self._spec.objectness, n)
        if self._spec.classes is not None:
            return scores[:, 0], _pick(out, self._spec.classes, n)[:, 0].astype(np.int64)
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
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {first_line(error)}") from error


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


def _pick(out: dict[str, Any], spec: OutputSpec, boxes: int | None = None) -> _Floats:
    """N×K values of one output; ``boxes`` is N where it is known, of all outputs but the boxes."""
    values = np.asarray(out[spec.output])
    table = boxes is None or spec.rows is not None or spec.columns is not None
    # One row is a batch of one picture only where it cannot be the one box.
    batched = values.ndim > 2 or (values.ndim == 2 and not table and boxes != 1)
    if batched and values.shape[0] == 1:
        values = values[0]
    if values.ndim < 2:
        values = values.reshape(-1, 1)
    if spec.rows is not None:
        values = values[slice(*spec.rows)].T
    elif spec.columns is not None:
        values = values[:, slice(*spec.columns)]
    return np.asarray(values, np.float32)


def _text(shape: Sequence[Any]) -> str:
    return "×".join(str(size) for size in shape)


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
