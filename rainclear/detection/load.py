"""Picks the adapter for a detector by the name or file that names it."""

from pathlib import Path

from rainclear.detection.detections import Detector
from rainclear.detection.files import require_file
from rainclear.errors import ModelError

__all__ = ["load_detector"]

_TORCHVISION = "torchvision:"


def load_detector(
    source: str | Path,
    *,
    device: str = "auto",
    confidence: float = 0.25,
    size: int | None = None,
    trust_pickle: bool = False,
) -> Detector:
    """A detector by its file.

    Args:
        source: An ultralytics ``.pt``, ``.onnx`` or ``*_openvino_model`` folder; the ``.yaml``
            description of any other ONNX file (or that file, with the description beside it under
            the same name); or ``torchvision:BUILDER@WEIGHTS``, such as
            ``torchvision:fasterrcnn_resnet50_fpn@fasterrcnn.pth``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        confidence: Boxes of a lower score are dropped.
        size: Longer side of the network's input in pixels, where the adapter lets one choose
            (ultralytics); 640 by default.
        trust_pickle: Load an ultralytics ``.pt`` with Python's full unpickler, which runs whatever
            code the file holds. Only for files whose origin you know.

    Raises:
        ModelError: The file is missing or not what its name says; nothing is downloaded.
        DeviceError: This machine has no such device.
        ConfigError: The description of an ONNX file is wrong.
    """
    name = str(source)
    if name.startswith(_TORCHVISION):
        from rainclear.detection.torchvision import TorchvisionDetector

        builder, _, weights = name.removeprefix(_TORCHVISION).partition("@")
        if not weights:
            raise ModelError(f"detector {name!r}: write it as torchvision:BUILDER@WEIGHTS_FILE")
        return TorchvisionDetector(builder, weights, device=device, confidence=confidence)
    path = require_file(Path(source))
    suffix = path.suffix.lower()
    if suffix == ".onnx" and path.with_suffix(".yaml").is_file():
        path, suffix = path.with_suffix(".yaml"), ".yaml"
    if suffix in (".yaml", ".yml"):
        from rainclear.detection.onnx import OnnxDetector

        return OnnxDetector(path, device=device, confidence=confidence)
    if suffix in (".pt", ".onnx", ".engine", ".torchscript") or path.is_dir():
        from rainclear.detection.yolo import UltralyticsDetector

        return UltralyticsDetector(
            path,
            device=device,
            confidence=confidence,
            size=640 if size is None else size,
            trust_pickle=trust_pickle,
        )
    raise ModelError(
        f"detector {path}: no adapter for this file; give a .pt, an .onnx, an OpenVINO folder, "
        "a .yaml description of an ONNX file, or torchvision:BUILDER@WEIGHTS_FILE"
    )
