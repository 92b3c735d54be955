"""Detectors of ultralytics: ``.pt``, ONNX and OpenVINO exports."""

import itertools
import pickle
import zipfile
from pathlib import Path
from typing import Any

import cv2
import torch

from rainclear.detection.coco import map_names
from rainclear.detection.detections import Detections, Pixels
from rainclear.detection.files import first_line, require_file
from rainclear.detection.quiet import import_ultralytics, safe_loading
from rainclear.errors import ModelError
from rainclear.runtime.device import resolve_device

__all__ = ["UltralyticsDetector", "load_yolo"]


def load_yolo(weights: str | Path, *, trust_pickle: bool = False) -> Any:
    """An ``ultralytics.YOLO`` from a file that exists, without a download or a full unpickling.

    Args:
        weights: A ``.pt`` or exported model.
        trust_pickle: Allow a ``.pt`` to run code while it is read.

    Raises:
        ModelError: The file is missing, broken, or needs the full unpickler.
    """
    path = require_file(Path(weights))
    _check_folder(path)
    package = import_ultralytics()
    try:
        with safe_loading(enabled=not trust_pickle):
            return package.YOLO(str(path), task="detect")
    except ImportError as error:
        raise ModelError(f"{path} needs a package that is not installed: {error}") from error
    except Exception as error:  # broken pickles raise whatever they stumble over
        why = _why(error, path, trusted=trust_pickle)
        raise ModelError(f"{path} cannot be read by ultralytics: {why}") from error


class UltralyticsDetector:
    """A YOLO or RT-DETR of ultralytics as a :class:`rainclear.detection.Detector`.

    Class numbers are mapped to COCO's by name; classes that COCO does not have are dropped.

    Args:
        weights: A ``.pt``, an ONNX export or an OpenVINO folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        confidence: Boxes of a lower score are dropped.
        size: Longer side of the network's input in pixels.
        iou: Overlap above which non-maximum suppression drops the weaker box.
        trust_pickle: See :func:`load_yolo`.

    Raises:
        ModelError: The file is missing or broken, or knows no class of COCO.
        DeviceError: This machine has no such device.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        device: str = "auto",
        confidence: float = 0.25,
        size: int = 640,
        iou: float = 0.7,
        trust_pickle: bool = False,
    ) -> None:
        self._options = {
            "device": str(resolve_device(device)),
            "conf": confidence,
            "imgsz": size,
            "iou": iou,
            "max_det": 300,
            "verbose": False,
            "save": False,
        }
        self._path = Path(weights)
        self._model = load_yolo(weights, trust_pickle=trust_pickle)
        self._numbers: dict[int, int] | None = None

    def __call__(self, frames: list[Pixels]) -> list[Detections]:
        """Detect in H×W×3 uint8 RGB pictures; those of one size in a row share a batch."""
        found: list[Detections] = []
        for _, group in itertools.groupby(frames, key=lambda frame: frame.shape):
            # A batch of several sizes would be padded otherwise than each picture alone.
            batch = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in group]
            try:
                results = self._model.predict(batch, **self._options)
            except ImportError as error:
                raise ModelError(
                    f"{self._path} needs a package that is not installed: {first_line(error)}"
                ) from error
            except (MemoryError, torch.cuda.OutOfMemoryError):
                raise
            except Exception as error:  # exports are opened here, by libraries of many kinds
                if self._numbers is not None:
                    raise
                raise ModelError(
                    f"{self._path} cannot be run by ultralytics: {first_line(error)}; "
                    f"{_remedy(self._path)}"
                ) from error
            found += [self._detections(result) for result in results]
        return found

    def _detections(self, result: Any) -> Detections:
        if self._numbers is None:
            self._numbers = map_names(result.names)
            if not self._numbers:
                hint = f"; {_remedy(self._path)}" if self._path.suffix.lower() == ".onnx" else ""
                raise ModelError(
                    f"{self._path}: none of its classes is one of COCO's: "
                    f"{', '.join(map(str, list(result.names.values())[:8]))}{hint}"
                )
        boxes = result.boxes.cpu()
        return Detections.of(boxes.xyxy, boxes.conf, boxes.cls).renumbered(self._numbers)


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        return
    if not path.name.endswith("_model") and path.suffix != ".mlpackage":
        raise ModelError(
            f"{path} is a folder, and no export of ultralytics by its name: give a .pt or .onnx in "
            "it, or an OpenVINO folder NAME_openvino_model"
        )
    if path.name.endswith("_openvino_model") and not any(path.glob("*.xml")):
        raise ModelError(f"{path} holds no OpenVINO model (.xml and .bin): {_remedy(path)}")


def _why(error: Exception, path: Path, *, trusted: bool) -> str:
    """Why a file cannot be read, and what to do; only a whole pickle may need the unpickler."""
    if path.suffix.lower() == ".pt" and not _is_pickle(path):
        return f"it is no checkpoint, or damaged; {_remedy(path)}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, pickle.UnpicklingError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or trusted:
        return f"{first_line(error)}; {_remedy(path)}"
    return (
        "it holds more than ultralytics' own classes; if you trust its origin, load it with "
        "trust_pickle, which runs code from the file"
    )


def _is_pickle(path: Path) -> bool:
    """Whether it begins as a pickle, or is a whole archive as torch writes it, for all we see."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"\x80" or zipfile.is_zipfile(file)
    except OSError:
        return True


def _remedy(path: Path) -> str:
    if path.suffix.lower() == ".onnx":
        return (
            "if it is not an export of ultralytics, describe it in "
            f"{path.with_suffix('.yaml').name} beside it (see docs/detection.md)"
        )
    if path.is_dir():
        return "export it anew with ultralytics"
    return "give a detector of ultralytics that was saved or exported whole"
